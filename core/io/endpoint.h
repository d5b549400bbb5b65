// An IP address and port, IPv4 or IPv6, in the form the socket calls take.
//
// Normal form: an IPv4-mapped IPv6 address is kept as IPv4, so that one peer has one value
// whichever socket he came through. `ForFamily` gives the form a socket of that family needs.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

class Endpoint {
 public:
  Endpoint() { std::memset(&address_, 0, sizeof(address_)); }
  // From what accept, recvmsg or getsockname filled in; AF_UNSPEC for any other family.
  static Endpoint FromSockaddr(const sockaddr* address);
  // `ip` is a literal: "127.0.0.1", "::1", "::". Nothing when it is not one.
  static std::optional<Endpoint> Parse(std::string_view ip, std::uint16_t port);

  // AF_INET, AF_INET6, or AF_UNSPEC when empty.
  int family() const { return address_.any.sa_family; }
  std::uint16_t port() const;
  Endpoint WithPort(std::uint16_t port) const;
  // The same endpoint for a socket of `family`: IPv4 becomes IPv4-mapped for AF_INET6. Empty when
  // there is none: an IPv6 address for an IPv4 socket.
  Endpoint ForFamily(int family) const;
  bool SameAddress(const Endpoint& other) const;
  bool IsWildcard() const;

  const sockaddr* sockaddr_ptr() const { return &address_.any; }
  sockaddr* sockaddr_ptr() { return &address_.any; }
  socklen_t sockaddr_length() const;

  // "192.0.2.1" or "2001:db8::1".
  std::string AddressText() const;
  // "192.0.2.1:554" or "[2001:db8::1]:554".
  std::string ToString() const;

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.port() == b.port() && a.SameAddress(b);
  }
  template <typename H>
  friend H AbslHashValue(H h, const Endpoint& e) {
    if (e.family() == AF_INET) {
      return H::combine(std::move(h), e.address_.v4.sin_addr.s_addr, e.port());
    }
    return H::combine(H::combine_contiguous(std::move(h), e.address_.v6.sin6_addr.s6_addr, 16),
                      e.port());
  }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address_;
};

}  // namespace millrace
