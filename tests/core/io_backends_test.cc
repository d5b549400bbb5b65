// Which backend is taken, and why.
#include <cerrno>

#include "tests/core/io_child.h"
#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

TEST(ChooseBackend, RefusesAnUnknownNameAndListsTheKnownOnes) {
  const auto choice = ChooseBackend("nonsense");
  ASSERT_FALSE(choice.ok());
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, choice.status().code());
  EXPECT_EQ("unknown backend \"nonsense\"; there are auto, io_uring and epoll",
            choice.status().message());
  EXPECT_FALSE(ChooseBackend("").ok());
  EXPECT_FALSE(ChooseBackend("EPOLL").ok());
}

TEST(ChooseBackend, TakesEpollWhenToldTo) {
  const auto choice = ChooseBackend("epoll");
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(BackendKind::kEpoll, choice->kind);
  const auto made = MakeBackend(choice->kind, {.sockets_max = 4});
  ASSERT_TRUE(made.ok());
  EXPECT_STREQ("epoll", (*made)->name());
}

TEST(ChooseBackend, TakesIoUringWhereItCanBeHadAndSaysWhyWhereNot) {
  const auto chosen = ChooseBackend("auto");
  ASSERT_TRUE(chosen.ok());
  const auto insisted = ChooseBackend("io_uring");
  EXPECT_EQ(insisted.ok(), chosen->kind == BackendKind::kUring);
  if (insisted.ok()) {
    EXPECT_EQ("io_uring: single issuer, deferred task run", chosen->reason);
    const auto made = MakeBackend(chosen->kind, {.sockets_max = 4});
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_STREQ("io_uring", (*made)->name());
  } else {
    EXPECT_EQ(0u, chosen->reason.find("io_uring unavailable ("));
  }
}

int ChooseWhereForbidden() {
  if (!ForbidCall(SYS_io_uring_setup, EPERM)) return kNotAllowed;
  const auto chosen = ChooseBackend("auto");
  if (!chosen.ok() || chosen->kind != BackendKind::kEpoll) return 1;
  if (chosen->reason != "io_uring unavailable (Operation not permitted), using epoll") return 2;
  const auto insisted = ChooseBackend("io_uring");
  if (insisted.ok() || insisted.status().code() != absl::StatusCode::kUnavailable) return 3;
  if (insisted.status().message() !=
      "io_uring was asked for and is unavailable (Operation not permitted)") {
    return 4;
  }
  if (MakeBackend(BackendKind::kUring, {.sockets_max = 4}).ok()) return 5;
  return MakeBackend(chosen->kind, {.sockets_max = 4}).ok() ? 0 : 6;
}

TEST(ChooseBackend, FallsBackToEpollWithTheKernelsReasonWhereIoUringIsForbidden) {
  const int outcome = InChild(ChooseWhereForbidden);
  if (outcome == kNotAllowed) GTEST_SKIP() << "no seccomp filter to be had";
  EXPECT_EQ(0, outcome);
}

// A connection over which both directions work; 0 or the number of the check that failed.
int Converse(IoBackend* io) {
  SystemClock clock;
  AcceptNotes accepts;
  const auto listener = io->ListenTcp(At("127.0.0.1"));
  if (!listener.ok()) return 10;
  io->Accept(*listener, &accepts);
  PlainSocket client = PlainSocket::Connected(io->LocalEndpoint(*listener));
  const Instant patience = clock.Now() + 10s;
  while (accepts.descriptors.empty() && clock.Now() < patience) {
    io->Poll(clock.Now(), clock.Now() + 1ms);
  }
  if (accepts.descriptors.empty()) return 11;
  const SocketId socket = io->Adopt(accepts.descriptors[0]);
  StreamNotes notes;
  io->StartReceive(socket, &notes);
  client.Write("question");
  while (notes.received.empty() && clock.Now() < patience) {
    io->Poll(clock.Now(), clock.Now() + 1ms);
  }
  if (notes.received != "question") return 12;
  iovec iov = {notes.received.data(), notes.received.size()};
  SendOp op;
  op.socket = socket;
  op.iov = &iov;
  op.iov_count = 1;
  io->Send({&op, 1});
  if (client.ReadExactly(8) != "question") return 13;
  io->Close(socket);
  return client.Read().empty() && errno == 0 ? 0 : 14;
}

TEST(MakeBackend, EpollWorksWhereNanosecondTimeoutsAreUnknownOrForbidden) {
  for (const int error : {ENOSYS, EPERM}) {
    const int outcome = InChild([error] {
      constexpr unsigned kEpollPwait2 = 441;
      if (!ForbidCall(kEpollPwait2, error)) return kNotAllowed;
      const auto made = MakeBackend(BackendKind::kEpoll, {.sockets_max = 16});
      if (!made.ok()) return 1;
      const SystemClock clock;
      const Instant deadline = clock.Now() + 2500us;
      (*made)->Poll(clock.Now(), deadline);
      if (clock.Now() < deadline) return 2;  // milliseconds are rounded up
      (*made)->Wake();
      (*made)->Poll(clock.Now(), kNever);
      return Converse(made->get());
    });
    if (outcome == kNotAllowed) GTEST_SKIP() << "no seccomp filter to be had";
    EXPECT_EQ(0, outcome) << error;
  }
}

TEST(MakeBackend, IoUringWorksOnPlainDescriptorsWhereNoneCanBeRegistered) {
  if (!ChooseBackend("io_uring").ok()) GTEST_SKIP() << "no io_uring";
  const int outcome = InChild([] {
    constexpr int kRegisterFiles2 = 13;
    if (!ForbidCall(SYS_io_uring_register, EPERM, kRegisterFiles2)) return kNotAllowed;
    const auto made = MakeBackend(BackendKind::kUring, {.sockets_max = 16});
    return made.ok() ? Converse(made->get()) : 1;
  });
  if (outcome == kNotAllowed) GTEST_SKIP() << "no seccomp filter to be had";
  EXPECT_EQ(0, outcome);
}

TEST(MakeBackend, IoUringSaysWhatItCouldNotHave) {
  if (!ChooseBackend("io_uring").ok()) GTEST_SKIP() << "no io_uring";
  const int outcome = InChild([] {
    constexpr int kRegisterBufferRing = 22;
    if (!ForbidCall(SYS_io_uring_register, EACCES, kRegisterBufferRing)) return kNotAllowed;
    const auto made = MakeBackend(BackendKind::kUring, {.sockets_max = 16});
    if (made.ok()) return 1;
    if (made.status().message().find("receive buffers") == std::string::npos) return 2;
    const auto chosen = ChooseBackend("auto");
    if (chosen->kind != BackendKind::kEpoll) return 3;
    return chosen->reason == "io_uring unavailable (Permission denied), using epoll" ? 0 : 4;
  });
  if (outcome == kNotAllowed) GTEST_SKIP() << "no seccomp filter to be had";
  EXPECT_EQ(0, outcome);
}

}  // namespace
}  // namespace millrace
