#include "tools/load/target.h"

#include <netdb.h>

#include <cstring>

namespace millrace::load {

std::string FindTarget(const std::string& text, Target& target) {
  const std::optional<Url> url = ParseUrl(text);
  if (!url) return "'" + text + "' is not rtsp://HOST[:PORT]/PATH";
  target.url = *url;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(url->host.c_str(), url->port.c_str(), &hints, &found);
  if (error != 0) return url->host + ": " + gai_strerror(error);
  std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return "";
}

std::string Numbered(const std::string& text, std::uint64_t number) {
  constexpr std::string_view kPlace = "{i}";
  std::string numbered = text;
  const std::string digits = std::to_string(number);
  for (std::size_t at = 0; (at = numbered.find(kPlace, at)) != std::string::npos;) {
    numbered.replace(at, kPlace.size(), digits);
    at += digits.size();
  }
  return numbered;
}

}  // namespace millrace::load
