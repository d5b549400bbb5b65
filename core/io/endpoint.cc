#include "core/io/endpoint.h"

#include <arpa/inet.h>

namespace millrace {
namespace {

constexpr std::uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Endpoint Endpoint::FromSockaddr(const sockaddr* address) {
  Endpoint e;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    e.address_.v4.sin_family = AF_INET;
    e.address_.v4.sin_port = v4.sin_port;
    e.address_.v4.sin_addr = v4.sin_addr;
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof(v6));
    if (std::memcmp(v6.sin6_addr.s6_addr, kMappedPrefix, sizeof(kMappedPrefix)) == 0) {
      e.address_.v4.sin_family = AF_INET;
      e.address_.v4.sin_port = v6.sin6_port;
      std::memcpy(&e.address_.v4.sin_addr, v6.sin6_addr.s6_addr + sizeof(kMappedPrefix), 4);
    } else {
      e.address_.v6.sin6_family = AF_INET6;
      e.address_.v6.sin6_port = v6.sin6_port;
      e.address_.v6.sin6_addr = v6.sin6_addr;
      e.address_.v6.sin6_scope_id = v6.sin6_scope_id;
    }
  }
  return e;
}

std::optional<Endpoint> Endpoint::Parse(std::string_view ip, std::uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  if (ip.size() >= sizeof(text) || ip.find('\0') != ip.npos) return std::nullopt;
  std::memcpy(text, ip.data(), ip.size());
  text[ip.size()] = '\0';
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return FromSockaddr(reinterpret_cast<const sockaddr*>(&v6));
  }
  Endpoint e;
  if (inet_pton(AF_INET, text, &e.address_.v4.sin_addr) != 1) return std::nullopt;
  e.address_.v4.sin_family = AF_INET;
  e.address_.v4.sin_port = htons(port);
  return e;
}

std::uint16_t Endpoint::port() const {
  switch (family()) {
    case AF_INET:
      return ntohs(address_.v4.sin_port);
    case AF_INET6:
      return ntohs(address_.v6.sin6_port);
    default:
      return 0;
  }
}

Endpoint Endpoint::WithPort(std::uint16_t port) const {
  Endpoint e = *this;
  if (family() == AF_INET) e.address_.v4.sin_port = htons(port);
  if (family() == AF_INET6) e.address_.v6.sin6_port = htons(port);
  return e;
}

Endpoint Endpoint::ForFamily(int wanted) const {
  if (wanted == family()) return *this;
  Endpoint e;
  if (wanted == AF_INET6 && family() == AF_INET) {
    e.address_.v6.sin6_family = AF_INET6;
    e.address_.v6.sin6_port = address_.v4.sin_port;
    // "Any" of IPv4 is "any" of IPv6; the mapped 0.0.0.0 would be a third thing.
    if (!IsWildcard()) {
      std::memcpy(e.address_.v6.sin6_addr.s6_addr, kMappedPrefix, sizeof(kMappedPrefix));
      std::memcpy(e.address_.v6.sin6_addr.s6_addr + sizeof(kMappedPrefix), &address_.v4.sin_addr,
                  4);
    }
  } else if (wanted == AF_INET && family() == AF_INET6) {
    return FromSockaddr(sockaddr_ptr()).family() == AF_INET ? FromSockaddr(sockaddr_ptr()) : e;
  }
  return e;
}

bool Endpoint::SameAddress(const Endpoint& other) const {
  if (family() != other.family()) return false;
  switch (family()) {
    case AF_INET:
      return address_.v4.sin_addr.s_addr == other.address_.v4.sin_addr.s_addr;
    case AF_INET6:
      return address_.v6.sin6_scope_id == other.address_.v6.sin6_scope_id &&
             std::memcmp(&address_.v6.sin6_addr, &other.address_.v6.sin6_addr, 16) == 0;
    default:
      return true;
  }
}

bool Endpoint::IsWildcard() const {
  switch (family()) {
    case AF_INET:
      return address_.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
      return IN6_IS_ADDR_UNSPECIFIED(&address_.v6.sin6_addr);
    default:
      return false;
  }
}

socklen_t Endpoint::sockaddr_length() const {
  switch (family()) {
    case AF_INET:
      return sizeof(sockaddr_in);
    case AF_INET6:
      return sizeof(sockaddr_in6);
    default:
      return 0;
  }
}

std::string Endpoint::AddressText() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &address_.v4.sin_addr, text, sizeof(text));
  } else if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &address_.v6.sin6_addr, text, sizeof(text));
  } else {
    return "(no address)";
  }
  return text;
}

std::string Endpoint::ToString() const {
  const std::string address = AddressText();
  if (family() == AF_UNSPEC) return address;
  const std::string port_text = std::to_string(port());
  return family() == AF_INET6 ? "[" + address + "]:" + port_text : address + ":" + port_text;
}

}  // namespace millrace
