// Socket addresses of either family, compared and changed.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace millrace::load {

socklen_t AddressBytes(const sockaddr_storage& address);
std::uint16_t PortOf(const sockaddr_storage& address);
sockaddr_storage WithPort(const sockaddr_storage& address, std::uint16_t port);
bool SameEndpoint(const sockaddr_storage& a, const sockaddr_storage& b);

// 127.0.0.0/8, of which every address is this host's own, so that a client can have as many as it
// runs out of ports.
bool IsLoopbackV4(const sockaddr_storage& address);
// 127.0.0.1, 127.0.0.2 and so on for `index` 0, 1 …; the port 0.
sockaddr_storage LoopbackV4(unsigned index);

}  // namespace millrace::load
