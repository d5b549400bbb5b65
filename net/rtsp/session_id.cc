#include "net/rtsp/session_id.h"

#include <charconv>

namespace millrace::rtsp {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr std::size_t kTextLength = 16 + 16 + 2;

void AppendHex(std::string* out, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) out->push_back(kDigits[(value >> (4 * i)) & 15]);
}

bool ParseHex(std::string_view text, std::uint64_t* value) {
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace

SessionId SessionId::Make(Random& random, std::size_t shard) {
  return {random.Next64(), random.Next64(), static_cast<std::uint8_t>(shard)};
}

std::optional<SessionId> SessionId::Parse(std::string_view text) {
  SessionId id;
  std::uint64_t shard = 0;
  if (text.size() != kTextLength || !ParseHex(text.substr(0, 16), &id.high) ||
      !ParseHex(text.substr(16, 16), &id.low) || !ParseHex(text.substr(32), &shard)) {
    return std::nullopt;
  }
  id.shard = static_cast<std::uint8_t>(shard);
  return id;
}

std::string SessionId::ToString() const {
  std::string text;
  text.reserve(kTextLength);
  AppendHex(&text, high, 16);
  AppendHex(&text, low, 16);
  AppendHex(&text, shard, 2);
  return text;
}

}  // namespace millrace::rtsp
