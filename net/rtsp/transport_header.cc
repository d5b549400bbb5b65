#include "net/rtsp/transport_header.h"

#include <charconv>
#include <cstddef>

#include "net/rtsp/chars.h"

namespace millrace::rtsp {
namespace {

// Takes from `rest` what stands before `separator`, which does not count inside quotes. Nothing
// when a quote is left open.
std::optional<std::string_view> TakeUntil(char separator, std::string_view* rest) {
  bool quoted = false;
  for (std::size_t i = 0; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (c == '"') quoted = !quoted;
    if (c == separator && !quoted) {
      const std::string_view taken = rest->substr(0, i);
      rest->remove_prefix(i + 1);
      return Trim(taken);
    }
  }
  if (quoted) return std::nullopt;
  const std::string_view taken = *rest;
  *rest = {};
  return Trim(taken);
}

std::string_view Unquote(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

std::optional<unsigned> ReadNumber(std::string_view digits, unsigned max) {
  unsigned number = 0;
  if (!IsAllDigits(digits)) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || number > max) return std::nullopt;
  return number;
}

// "n-m" with n < m, or "n" for n and n + 1; both within min..max.
template <typename Pair, typename Number>
std::optional<Pair> ReadPair(std::string_view value, unsigned min, unsigned max) {
  const std::size_t dash = value.find('-');
  const std::optional<unsigned> first = ReadNumber(Trim(value.substr(0, dash)), max);
  if (!first || *first < min) return std::nullopt;
  const std::optional<unsigned> second = dash == std::string_view::npos
                                             ? std::optional<unsigned>(*first + 1)
                                             : ReadNumber(Trim(value.substr(dash + 1)), max);
  if (!second || *second <= *first || *second > max) return std::nullopt;
  return Pair{static_cast<Number>(*first), static_cast<Number>(*second)};
}

// transport/profile[/lower-transport]
bool ReadProtocol(std::string_view protocol, TransportSpec* spec) {
  const bool tcp = EqualsIgnoreCase(protocol, "RTP/AVP/TCP");
  if (!tcp && !EqualsIgnoreCase(protocol, "RTP/AVP") &&
      !EqualsIgnoreCase(protocol, "RTP/AVP/UDP")) {
    return false;
  }
  spec->supported = true;
  spec->lower = tcp ? LowerTransport::kTcp : LowerTransport::kUdp;
  return true;
}

// False for an impossible value of a parameter that is understood.
bool ReadParameter(std::string_view parameter, TransportSpec* spec) {
  const std::size_t equals = parameter.find('=');
  const std::string_view name = Trim(parameter.substr(0, equals));
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : Trim(parameter.substr(equals + 1));
  if (EqualsIgnoreCase(name, "unicast")) {
    spec->unicast = true;
  } else if (EqualsIgnoreCase(name, "multicast")) {
    spec->multicast = true;
  } else if (EqualsIgnoreCase(name, "append")) {
    spec->append = true;
  } else if (EqualsIgnoreCase(name, "destination")) {
    spec->destination = Unquote(value);
  } else if (EqualsIgnoreCase(name, "mode")) {
    spec->mode = Trim(Unquote(value));
  } else if (EqualsIgnoreCase(name, "client_port")) {
    spec->client_port = ReadPair<PortPair, std::uint16_t>(value, 1, 65535);
    return spec->client_port.has_value();
  } else if (EqualsIgnoreCase(name, "interleaved")) {
    spec->interleaved = ReadPair<ChannelPair, std::uint8_t>(value, 0, 255);
    return spec->interleaved.has_value();
  }
  return true;
}

// False when malformed. Parameters of a protocol that is not supported are not looked at.
bool ReadSpec(std::string_view text, TransportSpec* spec) {
  *spec = TransportSpec();
  const std::optional<std::string_view> protocol = TakeUntil(';', &text);
  if (!protocol) return false;
  if (!ReadProtocol(*protocol, spec)) return true;
  while (!text.empty()) {
    const std::optional<std::string_view> parameter = TakeUntil(';', &text);
    if (!parameter || !ReadParameter(*parameter, spec)) return false;
  }
  return true;
}

}  // namespace

TransportReader::Result TransportReader::Next(TransportSpec* spec) {
  while (!rest_.empty()) {
    const std::optional<std::string_view> text = TakeUntil(',', &rest_);
    if (text && text->empty()) continue;
    if (text && ReadSpec(*text, spec)) return Result::kSpec;
    rest_ = {};
    return Result::kMalformed;
  }
  return Result::kEnd;
}

bool TransportSpec::record() const {
  return EqualsIgnoreCase(mode, "record") || EqualsIgnoreCase(mode, "receive");
}

}  // namespace millrace::rtsp
