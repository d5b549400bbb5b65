// A kernel that does nothing: what fakes of it start from.
#pragma once

#include <sys/socket.h>

#include <span>

#include "core/io/io_backend.h"

namespace millrace {

class NullBackend : public IoBackend {
 public:
  const char* name() const override { return "null"; }
  absl::StatusOr<SocketId> ListenTcp(const Endpoint&) override { return kNoSocket; }
  absl::StatusOr<SocketId> BindUdp(const Endpoint&, int) override { return kNoSocket; }
  SocketId Adopt(int) override { return kNoSocket; }
  void Discard(int) override {}
  void Close(SocketId, bool) override {}
  void ShutdownSend(SocketId) override {}
  Endpoint LocalEndpoint(SocketId) const override { return {}; }
  Endpoint PeerEndpoint(SocketId) const override { return {}; }
  int Family(SocketId) const override { return AF_INET; }
  void Accept(SocketId, AcceptHandler*) override {}
  void StopAccept(SocketId) override {}
  void StartReceive(SocketId, StreamHandler*) override {}
  void StopReceive(SocketId) override {}
  void StartReceiveDatagrams(SocketId, DatagramHandler*) override {}
  void WatchWritable(SocketId) override {}
  void Send(std::span<SendOp> ops) override {
    for (SendOp& op : ops) op.result = 0;
  }
  void Poll(Instant, Instant) override {}
  void Wake() override {}
};

}  // namespace millrace
