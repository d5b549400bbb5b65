#include <liburing.h>

#include <algorithm>
#include <cerrno>

#include "bench/limit/sender.h"

namespace millrace::limit {
namespace {

class UringSender final : public Sender {
 public:
  UringSender(const Targets& targets, unsigned batch, bool zero_copy)
      : targets_(targets), batch_(batch), zero_copy_(zero_copy), messages_(batch) {}
  ~UringSender() override {
    if (opened_) io_uring_queue_exit(&ring_);
  }

  absl::Status Open() {
    int error = io_uring_queue_init(batch_, &ring_,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (error < 0) return absl::ErrnoToStatus(-error, "io_uring");
    opened_ = true;
    error = targets_.udp() ? io_uring_register_files(&ring_, &targets_.udp_socket, 1)
                           : io_uring_register_files(&ring_, targets_.connections.data(),
                                                     static_cast<unsigned>(targets_.size()));
    if (error < 0) return absl::ErrnoToStatus(-error, "registered files");
    return absl::OkStatus();
  }

  void Send(std::span<const Sending> sendings) override {
    while (!sendings.empty()) {
      const std::size_t count = std::min<std::size_t>(batch_, sendings.size());
      SendBatch(sendings.first(count));
      sendings = sendings.subspan(count);
    }
  }

 private:
  void SendBatch(std::span<const Sending> batch) {
    for (std::size_t i = 0; i < batch.size(); ++i) Prepare(batch[i], i);
    io_uring_submit_and_wait(&ring_, static_cast<unsigned>(batch.size()));
    // With zero copy a second completion tells that the kernel is done with the memory.
    for (std::size_t left = batch.size(); left > 0;) {
      io_uring_cqe* cqe = nullptr;
      if (io_uring_wait_cqe(&ring_, &cqe) != 0) return;
      if ((cqe->flags & IORING_CQE_F_NOTIF) == 0) {
        Count(cqe->res, batch[cqe->user_data]);
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) --left;
      } else {
        --left;
      }
      io_uring_cqe_seen(&ring_, cqe);
    }
  }

  void Prepare(const Sending& sending, std::size_t index) {
    io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
    const int file = targets_.udp() ? 0 : static_cast<int>(sending.target);
    MessageHeader& message = messages_[index];
    message.Fill(targets_, sending);
    constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (zero_copy_) {
      io_uring_prep_sendmsg_zc(sqe, file, &message.header, kFlags);
    } else if (!targets_.udp() && sending.iov.size() == 1) {
      io_uring_prep_send(sqe, file, sending.iov[0].iov_base, sending.iov[0].iov_len, kFlags);
    } else {
      io_uring_prep_sendmsg(sqe, file, &message.header, kFlags);
    }
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = index;
  }

  const Targets targets_;
  const unsigned batch_;
  const bool zero_copy_;
  io_uring ring_{};
  bool opened_ = false;
  std::vector<MessageHeader> messages_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sender>> MakeUringSender(const Targets& targets, unsigned batch,
                                                        bool zero_copy) {
  auto sender = std::make_unique<UringSender>(targets, batch, zero_copy);
  const absl::Status status = sender->Open();
  if (!status.ok()) return status;
  return sender;
}

}  // namespace millrace::limit
