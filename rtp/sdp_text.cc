#include "rtp/sdp_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

constexpr char kHexDigits[] = "0123456789ABCDEF";

// Length of the UTF-8 character that `text` begins with; 0 when it begins with none (RFC 3629).
std::size_t Utf8Length(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (at(i) >> 6 != 2) return 0;
  }
  if (lead == 0xe0 && at(1) < 0xa0) return 0;   // overlong
  if (lead == 0xed && at(1) >= 0xa0) return 0;  // surrogate
  if (lead == 0xf0 && at(1) < 0x90) return 0;   // overlong
  if (lead == 0xf4 && at(1) >= 0x90) return 0;  // beyond U+10FFFF
  return length;
}

bool IsControl(std::string_view character) {
  const auto lead = static_cast<std::uint8_t>(character[0]);
  if (lead < 0x20 || lead == 0x7f) return true;
  return lead == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;  // U+0080 to U+009F
}

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string HexText(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kHexDigits[byte >> 4]);
    text.push_back(kHexDigits[byte & 15]);
  }
  return text;
}

std::string Base64List(std::initializer_list<const std::vector<Bytes>*> lists) {
  std::string text;
  for (const std::vector<Bytes>* list : lists) {
    for (const Bytes& set : *list) {
      const absl::string_view raw(reinterpret_cast<const char*>(set.data()), set.size());
      absl::StrAppend(&text, text.empty() ? "" : ",", absl::Base64Escape(raw));
    }
  }
  return text;
}

std::string OneLine(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    if (length == 0) {
      line += "\xef\xbf\xbd";  // U+FFFD
    } else if (!IsControl(text.substr(0, length))) {
      line += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return line;
}

std::string SessionSection(std::uint64_t session_id, std::uint64_t version, const Endpoint& server,
                           std::string_view name, std::string_view range) {
  const bool v6 = server.family() == AF_INET6;
  std::string address = server.family() == AF_UNSPEC ? "0.0.0.0" : server.AddressText();
  address.resize(std::min(address.size(), address.find('%')));  // a zone means nothing to others
  const std::string line = OneLine(name);

  std::string sdp = "v=0\r\n";
  absl::StrAppend(&sdp, "o=- ", session_id, " ", version, v6 ? " IN IP6 " : " IN IP4 ", address,
                  "\r\n");
  absl::StrAppend(&sdp, "s=", line.empty() ? "-" : line, "\r\n");
  absl::StrAppend(&sdp, v6 ? "c=IN IP6 ::" : "c=IN IP4 0.0.0.0", "\r\n");
  absl::StrAppend(&sdp, "t=0 0\r\na=tool:Millrace\r\na=control:*\r\na=range:", View(range), "\r\n");
  return sdp;
}

std::string H264Parameters(const std::vector<Bytes>& sps, const std::vector<Bytes>& pps) {
  std::string text = "packetization-mode=1";
  if (!sps.empty() && sps[0].size() >= 4) {
    absl::StrAppend(&text, ";profile-level-id=", HexText(std::span(sps[0]).subspan(1, 3)));
  }
  const std::string sets = Base64List({&sps, &pps});
  if (!sets.empty()) absl::StrAppend(&text, ";sprop-parameter-sets=", sets);
  return text;
}

std::string H265Parameters(const std::vector<Bytes>& vps, const std::vector<Bytes>& sps,
                           const std::vector<Bytes>& pps) {
  std::string text;
  const auto append = [&text](const char* name, const std::vector<Bytes>& sets) {
    if (sets.empty()) return;
    absl::StrAppend(&text, text.empty() ? "" : ";", name, "=", Base64List({&sets}));
  };
  append("sprop-vps", vps);
  append("sprop-sps", sps);
  append("sprop-pps", pps);
  return text;
}

std::string_view TrimBlanks(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(View(a), View(b));
}

std::string LowerCase(std::string_view text) { return absl::AsciiStrToLower(View(text)); }

}  // namespace millrace
