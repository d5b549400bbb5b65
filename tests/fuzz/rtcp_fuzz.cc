// Any bytes as a compound: nothing is read beyond them, malformed ones cause no call, and a sound
// one stays sound, with the same calls, when an unknown packet is put behind it.
#include <cstdlib>
#include <vector>

#include "rtp/rtcp.h"

namespace {

class Counter final : public millrace::rtcp::Visitor {
 public:
  void OnReportBlock(std::uint32_t reporter, const millrace::rtcp::ReportBlock& b) override {
    Add(reporter + b.ssrc + b.jitter + b.highest_sequence + b.last_sr + b.delay_since_last_sr);
  }
  void OnSenderInfo(const millrace::rtcp::SenderInfo& info) override {
    Add(info.ssrc + info.packet_count + info.octet_count + info.rtp_timestamp);
  }
  void OnBye(std::uint32_t ssrc) override { Add(ssrc); }

  std::size_t calls = 0;
  std::uint64_t sum = 0;

 private:
  void Add(std::uint32_t value) {
    ++calls;
    sum = sum * 31 + value;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Counter counter;
  const bool sound = millrace::rtcp::Read({data, size}, &counter);
  if (!sound && counter.calls != 0) std::abort();
  if (counter.calls > size / 4) std::abort();
  if (!sound) return 0;

  // Padding is allowed in the last packet only, so nothing may follow a padded one.
  std::vector<std::uint8_t> longer(data, data + size);
  longer.insert(longer.end(), {0x80, 255, 0, 0});
  Counter again;
  const bool still_sound = millrace::rtcp::Read(longer, &again);
  if (still_sound && (again.calls != counter.calls || again.sum != counter.sum)) std::abort();
  return 0;
}
