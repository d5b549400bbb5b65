// What the tests of the senders share: hand-made media whose packets name themselves, a shard's
// sending half around a cache that loads when told, and a kernel that takes what the test says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "rtp/big_endian.h"
#include "rtp/interleaved_output.h"
#include "rtp/packet_view.h"
#include "rtp/udp_transport.h"
#include "rtp/vod_sender.h"
#include "tests/core/null_backend.h"
#include "tests/rtp/vod_fakes.h"

namespace millrace::testing {

// Where the simulated time of these tests begins.
inline constexpr Instant kT0{Duration(1000s)};

// A whole number of milliseconds in [0, bound).
inline Duration MillisBelow(std::uint64_t bound, Random& random) {
  return std::chrono::milliseconds(random.Below(bound));
}

struct TestUnit {
  std::int64_t pts = 0;
  Duration due{};
  std::vector<std::size_t> payloads;  // bytes of each packet's payload, 8 at least
  bool random_access = false;
  Duration spread{};
};

struct TestStream {
  Track track = FakeVideoTrack();
  std::vector<TestUnit> units;   // by due time
  std::uint16_t number_gap = 0;  // by which each block's numbers miss the end of the one before
};

// The payload of packet `id` (counted over the whole stream) tells the stream and the id.
inline Bytes TestPayload(std::size_t stream, std::uint32_t id, std::size_t bytes) {
  Bytes payload(bytes, static_cast<std::uint8_t>(id * 31 + stream));
  StoreBe32(payload.data(), static_cast<std::uint32_t>(stream));
  StoreBe32(payload.data() + 4, id);
  return payload;
}

// 25 frames a second; every `gop`-th a random access point; `packets` of each frame.
inline TestStream TestVideo(int frames, std::size_t packets = 1, int gop = 25,
                            std::size_t payload = 100) {
  TestStream stream;
  for (int i = 0; i < frames; ++i) {
    stream.units.push_back({.pts = i * 3600,
                            .due = i * Duration(40ms),
                            .payloads = std::vector<std::size_t>(packets, payload),
                            .random_access = i % gop == 0,
                            .spread = 40ms});
  }
  return stream;
}

// 48 kHz, a packet per 64 ms, each a place to start.
inline TestStream TestAudio(int packets) {
  TestStream stream;
  stream.track = FakeAudioTrack(48000);
  for (int i = 0; i < packets; ++i) {
    stream.units.push_back({.pts = i * 3072,
                            .due = i * Duration(64ms),
                            .payloads = {static_cast<std::size_t>(60 + i % 7)},
                            .random_access = true});
  }
  return stream;
}

// Builds block sets of TestStreams.
class TestSource final : public BlockSource {
 public:
  explicit TestSource(std::vector<TestStream> streams) : streams_(std::move(streams)) {}

  std::shared_ptr<Presentation> MakePresentation(std::uint64_t id) const {
    auto made = std::make_shared<Presentation>();
    made->id = id;
    made->path = "test";
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      RtpStream stream;
      stream.track = streams_[s].track;
      stream.payload_type = static_cast<std::uint8_t>(96 + s);
      stream.ssrc = static_cast<std::uint32_t>(0xabc00 + s);
      stream.first_sequence = static_cast<std::uint16_t>(65500 + s);  // wraps soon
      stream.first_timestamp = static_cast<std::uint32_t>(0xfffff000 + s);
      made->streams.push_back(stream);
      for (const TestUnit& unit : streams_[s].units) {
        made->duration = std::max(made->duration, unit.due + 1ms);
      }
    }
    return made;
  }

  absl::StatusOr<std::unique_ptr<BlockSet>> ReadBlock(const PresentationRef& presentation,
                                                      std::uint32_t number) override {
    loads.push_back(number);
    if (failing.count(number) != 0) return absl::DataLossError("unreadable");
    auto set = std::make_unique<BlockSet>();
    set->number = number;
    set->last = number + 1 == presentation->block_count();
    set->memory_bytes = 1;
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      set->streams.push_back(BuildStream(presentation->streams[s], s, number));
    }
    return set;
  }

  std::size_t packet_count(std::size_t stream) const {
    std::size_t count = 0;
    for (const TestUnit& unit : streams_[stream].units) count += unit.payloads.size();
    return count;
  }
  const std::vector<TestUnit>& units(std::size_t stream) const { return streams_[stream].units; }
  // Ids of a stream's packets whose units satisfy `wanted`, in order.
  std::vector<std::uint32_t> Ids(std::size_t stream,
                                 const std::function<bool(const TestUnit&)>& wanted) const {
    std::vector<std::uint32_t> ids;
    std::uint32_t id = 0;
    for (const TestUnit& unit : streams_[stream].units) {
      for (std::size_t i = 0; i < unit.payloads.size(); ++i, ++id) {
        if (wanted(unit)) ids.push_back(id);
      }
    }
    return ids;
  }
  std::vector<std::uint32_t> AllIds(std::size_t stream) const {
    return Ids(stream, [](const TestUnit&) { return true; });
  }

  std::size_t burst_packets = Limits().burst_packets;
  std::vector<std::uint32_t> loads;
  std::set<std::uint32_t> failing;

 private:
  PacketBlock BuildStream(const RtpStream& stream, std::size_t index, std::uint32_t number) const {
    const Duration start = number * kBlockDuration;
    std::uint32_t id = 0;
    const auto& units = streams_[index].units;
    auto unit = units.begin();
    for (; unit != units.end() && unit->due < start; ++unit) {
      id += static_cast<std::uint32_t>(unit->payloads.size());
    }
    const auto first = static_cast<std::uint16_t>(stream.first_sequence + id +
                                                  number * streams_[index].number_gap);
    PacketBlockBuilder builder({.payload_type = stream.payload_type,
                                .ssrc = stream.ssrc,
                                .first_timestamp = stream.first_timestamp,
                                .clock_rate = stream.track.clock_rate},
                               start, first, burst_packets);
    for (; unit != units.end() && unit->due < start + kBlockDuration; ++unit) {
      builder.BeginUnit(unit->pts, unit->due, unit->spread, unit->random_access);
      for (const std::size_t bytes : unit->payloads) {
        const Bytes payload = TestPayload(index, id++, bytes);
        std::memcpy(builder.AddPacket(bytes), payload.data(), bytes);
      }
      builder.EndUnit(true);
    }
    return std::move(builder).Seal();
  }

  const std::vector<TestStream> streams_;
};

// A packet as a viewer gets it.
struct SeenPacket {
  std::uint32_t stream = 0;
  std::uint32_t id = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
  std::size_t bytes = 0;
  Instant at{};
};

// Stops the test when the packet is not one of TestSource's, whole.
inline SeenPacket ReadTestPacket(std::span<const std::uint8_t> bytes, Instant at = {}) {
  const auto view = PacketView::Parse(bytes);
  if (!view || view->payload.size() < 8) std::abort();
  const std::uint32_t stream = LoadBe32(view->payload.data());
  const std::uint32_t id = LoadBe32(view->payload.data() + 4);
  const Bytes wanted = TestPayload(stream, id, view->payload.size());
  if (!std::equal(wanted.begin(), wanted.end(), view->payload.begin())) std::abort();
  return {stream, id, view->sequence, view->timestamp, view->ssrc, bytes.size(), at};
}

inline std::vector<std::uint32_t> IdsOf(const std::vector<SeenPacket>& packets) {
  std::vector<std::uint32_t> ids;
  for (const SeenPacket& packet : packets) ids.push_back(packet.id);
  return ids;
}

// Empty when every packet's number follows the one before.
inline std::string FindSequenceGap(const std::vector<SeenPacket>& packets) {
  for (std::size_t i = 1; i < packets.size(); ++i) {
    if (packets[i].sequence != static_cast<std::uint16_t>(packets[i - 1].sequence + 1)) {
      return "packet " + std::to_string(i) + " has number " + std::to_string(packets[i].sequence) +
             " after " + std::to_string(packets[i - 1].sequence);
    }
  }
  return "";
}

// Takes sends as `take` says: bytes taken or a negative errno.
class TakingBackend final : public NullBackend {
 public:
  struct Sent {
    SocketId socket;
    const Endpoint* to;
    Bytes bytes;  // what was taken
    std::uint16_t segment_size;
    std::uint32_t iov_count;
  };

  void Send(std::span<SendOp> ops) override {
    ++calls;
    for (SendOp& op : ops) {
      Bytes bytes;
      for (std::uint32_t i = 0; i < op.iov_count; ++i) {
        const auto* from = static_cast<const std::uint8_t*>(op.iov[i].iov_base);
        bytes.insert(bytes.end(), from, from + op.iov[i].iov_len);
      }
      op.result = take(op, bytes.size());
      if (op.result < 0) continue;
      bytes.resize(static_cast<std::size_t>(op.result));
      sent.push_back({op.socket, op.to, std::move(bytes), op.segment_size, op.iov_count});
    }
  }
  void WatchWritable(SocketId socket) override { watched.push_back(socket); }

  std::function<std::int32_t(const SendOp&, std::size_t)> take =
      [](const SendOp&, std::size_t bytes) { return static_cast<std::int32_t>(bytes); };
  std::size_t calls = 0;
  std::vector<Sent> sent;
  std::vector<SocketId> watched;
};

// The datagrams a train becomes.
inline std::vector<SeenPacket> Datagrams(const TakingBackend::Sent& sent, Instant at = {}) {
  std::vector<SeenPacket> packets;
  const std::size_t segment = sent.segment_size != 0 ? sent.segment_size : sent.bytes.size();
  for (std::size_t i = 0; i < sent.bytes.size(); i += segment) {
    const std::size_t length = std::min(segment, sent.bytes.size() - i);
    packets.push_back(ReadTestPacket({sent.bytes.data() + i, length}, at));
  }
  return packets;
}

class NotingObserver final : public SenderObserver {
 public:
  void OnSenderEnded(Sender* sender) override { ended.push_back(sender->state()); }
  void OnSenderFailed(Sender*, const absl::Status& status) override { failures.push_back(status); }
  std::vector<Sender::State> ended;
  std::vector<absl::Status> failures;
};

// A viewer of a file over each transport.
struct UdpSender : VodSender {
  UdpSender(SenderContext* context, PresentationRef film, std::size_t stream,
            SenderObserver* observer, const Endpoint& rtp, const Endpoint& rtcp)
      : VodSender(context, std::move(film), stream, observer,
                  std::make_unique<UdpTransport>(context, rtp, rtcp)) {}
};
struct InterleavedSender : VodSender {
  InterleavedSender(SenderContext* context, PresentationRef film, std::size_t stream,
                    SenderObserver* observer, InterleavedOutput* output, std::uint8_t channel)
      : VodSender(context, std::move(film), stream, observer,
                  std::make_unique<InterleavedTransport>(output, channel)) {}
};

// The sending half of a shard. Blocks load when `auto_load` or the test says so.
class SenderWorld {
 public:
  explicit SenderWorld(std::vector<TestStream> streams, const Limits& the_limits = Limits())
      : limits(the_limits), source(std::move(streams)) {
    source.burst_packets = limits.burst_packets;
    film = source.MakePresentation(1);
    context.pacer = &pacer;
    context.batch = &batch;
    context.blocks = &blocks;
    context.counters = &counters;
    context.limits = &limits;
    context.rtp_socket = 7;
  }
  ~SenderWorld() { loader.Stop(); }

  void Load() {
    while (loader.RunOne() || poster.waiting() > 0) poster.DeliverAll();
  }
  // As Server::OnTick does it.
  void Tick(Instant at) {
    now = at;
    if (auto_load) Load();
    pacer.Sweep(now);
    outputs.GatherAll(now);
    batch.Flush();
  }
  // Ticks every millisecond up to and including `end`.
  void RunUntil(Instant end) {
    while (now + 1ms <= end) Tick(now + 1ms);
  }
  BlockRef Block(std::uint32_t number) {
    blocks.Prefetch(film, number);
    Load();
    return blocks.Acquire(film, number, nullptr);
  }
  StartPoint PointAt(std::uint32_t number, std::uint32_t index) {
    return {Block(number), number, index};
  }
  static VodOptions Options() { return {}; }

  Limits limits;
  TestSource source;
  ManualLoader loader;
  ManualPoster poster;
  PacketCache cache{&source, &loader, &poster, Options()};
  BlockClient blocks{&cache, 0};
  TakingBackend io;
  Pacer pacer{kT0};
  SendBatch batch{&io, 256, 8192};
  OutputQueue outputs{64};
  ShardCounters counters;
  SenderContext context;
  PresentationRef film;
  NotingObserver observer;
  Instant now = kT0;
  bool auto_load = true;
};

}  // namespace millrace::testing
