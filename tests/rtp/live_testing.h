// What the tests of live media share: shards that the test ticks, each with a hub and a kernel that
// takes what the test says; publishers of H.264-like packets that name themselves; and what
// viewers got.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/shard_group.h"
#include "rtp/big_endian.h"
#include "rtp/live_hub.h"
#include "rtp/live_sender.h"
#include "rtp/live_writer.h"
#include "tests/rtp/sender_testing.h"

namespace millrace::testing {

class LiveClock final : public Clock {
 public:
  Instant Now() const override { return now; }
  WallTime Wall() const override {
    return WallTime(std::chrono::hours(24 * 365 * 50) + now.time_since_epoch());
  }
  Instant now = kT0;
};

// H.264, and with `audio` a stream of a codec that is not understood.
inline LiveDescription TestDescription(bool audio = false, bool known_video = true) {
  LiveDescription description;
  description.session_name = "test";
  LiveStreamDescription video;
  video.media = "video";
  video.payload_types = {96};
  video.encoding = known_video ? "H264" : "X-VIDEO";
  video.clock_rate = 90000;
  if (known_video) video.codec = Codec::kH264;
  description.streams.push_back(video);
  if (audio) {
    LiveStreamDescription pcm;
    pcm.media = "audio";
    pcm.payload_types = {97};
    pcm.encoding = "PCMU";
    pcm.clock_rate = 8000;
    description.streams.push_back(pcm);
  }
  return description;
}

// The payload of packet `id` of a publisher: a slice, of an IDR picture when `key`.
inline Bytes LivePayload(std::uint32_t id, bool key, std::size_t bytes) {
  Bytes payload(bytes, static_cast<std::uint8_t>(id * 31));
  payload[0] = key ? 0x65 : 0x41;
  StoreBe32(payload.data() + 1, id);
  return payload;
}

// Stops the test when a packet that is not split is not one of LivePayload's, whole.
inline SeenPacket ReadLivePacket(std::span<const std::uint8_t> bytes, Instant at = {}) {
  const auto view = PacketView::Parse(bytes);
  if (!view || view->payload.size() < 5) std::abort();
  SeenPacket seen{0, 0, view->sequence, view->timestamp, view->ssrc, bytes.size(), at};
  const bool key = view->payload[0] == 0x65;
  if (!key && view->payload[0] != 0x41) return seen;
  seen.id = LoadBe32(view->payload.data() + 1);
  const Bytes wanted = LivePayload(seen.id, key, view->payload.size());
  if (!std::equal(wanted.begin(), wanted.end(), view->payload.begin())) std::abort();
  return seen;
}

// What a viewer got in one send.
struct SeenTrain {
  Endpoint to;
  Instant at{};
  std::uint32_t iov_count = 0;
  std::vector<SeenPacket> packets;
};

// One shard's live half, as Server has it.
class LiveShard final : public LiveService, private PublisherHost {
 public:
  LiveShard(Shard* shard, std::size_t shards, LiveTable* table, TakingBackend* backend,
            const Limits* limits)
      : io(backend),
        pacer(shard->now()),
        batch(backend, limits->batch_ops, limits->batch_iovecs),
        hub(shard, shards, table, &pacer, this) {
    context.pacer = &pacer;
    context.batch = &batch;
    context.counters = &shard->counters();
    context.limits = limits;
    context.rtp_socket = 7;
  }

  // The order of Server::OnTick, and the ticks that follow it at once.
  void OnTick(Instant now) override {
    pacer.Sweep(now);
    if (hub.dirty()) batch.Flush();
    hub.CommitAll(now);
    for (int round = 0; round < 64 && (round == 0 || hub.ready_count() > 0); ++round) {
      hub.FireReady(hub.ready_count(), now);
      outputs.GatherAll(now);
      batch.Flush();
    }
    for (const TakingBackend::Sent& sent : std::exchange(io->sent, {})) Note(sent, now);
  }
  Instant NextDeadline() const override { return kNever; }
  void OnStop(Instant) override {}
  LiveHub& live_hub() override { return hub; }

  TakingBackend* const io;
  Pacer pacer;
  SendBatch batch;
  OutputQueue outputs{64};
  SenderContext context;
  LiveHub hub;
  std::vector<SeenTrain> trains;      // over UDP
  std::map<SocketId, Bytes> streams;  // over TCP
  std::vector<std::uint64_t> evicted;

 private:
  void OnEvicted(std::uint64_t ticket) override { evicted.push_back(ticket); }
  void Note(const TakingBackend::Sent& sent, Instant now) {
    if (sent.to == nullptr) {
      Bytes& stream = streams[sent.socket];
      stream.insert(stream.end(), sent.bytes.begin(), sent.bytes.end());
      return;
    }
    if (sent.bytes.empty()) return;
    SeenTrain train{*sent.to, now, sent.iov_count, {}};
    const std::size_t segment = sent.segment_size != 0 ? sent.segment_size : sent.bytes.size();
    for (std::size_t i = 0; i < sent.bytes.size(); i += segment) {
      const std::size_t length = std::min(segment, sent.bytes.size() - i);
      train.packets.push_back(ReadLivePacket({sent.bytes.data() + i, length}, now));
    }
    trains.push_back(std::move(train));
  }
};

class LiveWorld {
 public:
  explicit LiveWorld(const LiveOptions& options = {}, std::size_t shards = 1,
                     const Limits& the_limits = Limits())
      : limits(the_limits), table(options, &random), group(shards, 1, &clock, MakeParts(shards)) {
    backends_.resize(shards);
    services_.resize(shards);
    if (!group.BuildHere().ok()) std::abort();
    Tick(kT0);
  }
  ~LiveWorld() { group.ShutdownHere(); }

  LiveShard& at(std::size_t shard = 0) { return *services_[shard]; }
  ShardCounters& counters(std::size_t shard = 0) { return group.shard(shard).counters(); }
  Instant now() const { return clock.now; }

  // One tick of every shard; twice, so that mail between them has come.
  void Tick(Instant at) {
    clock.now = at;
    for (int turn = 0; turn < 2; ++turn) {
      for (std::size_t i = 0; i < group.size(); ++i) group.shard(i).Tick();
    }
  }
  // Ticks every millisecond up to and including `end`.
  void RunUntil(Instant end) {
    while (clock.now + 1ms <= end) Tick(clock.now + 1ms);
  }
  void Run(Duration time) { RunUntil(clock.now + time); }

  PublisherTicket Announce(const LiveDescription& description, std::size_t shard = 0) {
    auto ticket = table.Announce("live/a", description, shard);
    if (!ticket.ok()) std::abort();
    return *std::move(ticket);
  }
  PublisherTicket Publish(const LiveDescription& description, std::size_t shard = 0) {
    PublisherTicket announced = Announce(description, shard), evicted;
    LiveRef ended;
    if (!table.Publish(announced, &evicted, &ended)) std::abort();
    if (ended != nullptr) at(shard).hub.Ring(*ended);
    if (evicted.id != 0) at(shard).hub.Evict(evicted);
    return announced;
  }

  LiveClock clock;
  const Limits limits;
  SeededRandom random{1};
  LiveTable table;
  ShardGroup group;

 private:
  ShardGroup::Parts MakeParts(std::size_t shards) {
    return {
        .backend = [this](std::size_t i) -> absl::StatusOr<std::unique_ptr<IoBackend>> {
          auto made = std::make_unique<TakingBackend>();
          backends_[i] = made.get();
          return made;
        },
        .random = [](std::size_t i) { return std::make_unique<SeededRandom>(i); },
        .service = [this, shards](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
          auto made = std::make_unique<LiveShard>(&shard, shards, &table, backends_[shard.index()],
                                                  &limits);
          services_[shard.index()] = made.get();
          return made;
        },
    };
  }

  std::vector<TakingBackend*> backends_;
  std::vector<LiveShard*> services_;
};

// A publisher of one presentation: frames of `packets` packets, each with the next id.
class TestPublisher {
 public:
  // What he says of himself, before it becomes the presentation's.
  struct Numbering {
    std::uint32_t ssrc = 0x1234;
    std::uint16_t sequence = 65530;  // wraps soon
    std::uint32_t timestamp = 0xfffff000;
    std::uint32_t first_id = 0;
  };

  TestPublisher(LiveWorld* world, const PublisherTicket& the_ticket)
      : TestPublisher(world, the_ticket, Numbering{}) {}
  TestPublisher(LiveWorld* world, const PublisherTicket& the_ticket, const Numbering& numbering)
      : ticket(the_ticket),
        writer(std::make_unique<LiveWriter>(&world->at(the_ticket.shard).hub, the_ticket)),
        sequence(numbering.sequence),
        timestamp(numbering.timestamp),
        ssrc(numbering.ssrc),
        next_id(numbering.first_id),
        world_(world) {}

  void Send(const Bytes& payload, bool marker, std::size_t stream = 0) {
    Bytes packet(kRtpHeaderBytes + payload.size());
    packet[0] = 0x80;
    packet[1] = static_cast<std::uint8_t>((marker ? 0x80 : 0) | (96 + stream));
    StoreBe16(packet.data() + 2, stream == 0 ? sequence++ : audio_sequence++);
    StoreBe32(packet.data() + 4, stream == 0 ? timestamp : audio_timestamp);
    StoreBe32(packet.data() + 8, ssrc + static_cast<std::uint32_t>(stream));
    std::memcpy(packet.data() + kRtpHeaderBytes, payload.data(), payload.size());
    const auto view = PacketView::Parse(packet);
    if (!view) std::abort();
    writer->OnPacket(stream, *view, packet, world_->now());
  }
  // The packets of one picture; without `end` its marker is missing.
  void Frame(bool key, std::size_t packets = 1, bool end = true, std::size_t bytes = 100) {
    for (std::size_t i = 0; i < packets; ++i) {
      Send(LivePayload(next_id++, key, bytes), end && i + 1 == packets);
    }
  }
  void Audio() {
    Send(LivePayload(next_audio_id++, false, 80), false, 1);
    audio_timestamp += 160;
  }
  // Pictures every 40 ms, a key frame each `gop`, and the world's time with them.
  void Film(int frames, int gop = 25, std::size_t packets = 2, std::size_t bytes = 100) {
    for (int i = 0; i < frames; ++i) {
      Frame(i % gop == 0, packets, true, bytes);
      world_->Run(40ms);
      timestamp += 3600;
    }
  }
  // Gone: his writer, and his claim to the path.
  void Leave() {
    writer.reset();
    world_->at(ticket.shard).hub.Release(ticket);
  }

  const PublisherTicket ticket;
  std::unique_ptr<LiveWriter> writer;
  std::uint16_t sequence;
  std::uint32_t timestamp;
  std::uint32_t ssrc;
  std::uint32_t next_id;
  std::uint16_t audio_sequence = 100;
  std::uint32_t audio_timestamp = 5000;
  std::uint32_t next_audio_id = 0;

 private:
  LiveWorld* const world_;
};

class LiveObserver final : public SenderObserver, public LiveViewUser {
 public:
  void OnSenderEnded(Sender* sender) override { ended.push_back(sender->state()); }
  void OnSenderJumped(Sender*) override { ++jumps; }
  void OnSenderFailed(Sender*, const absl::Status&) override { std::abort(); }
  void OnPresentationEnded() override { ++presentations_ended; }
  std::vector<Sender::State> ended;
  int jumps = 0;
  int presentations_ended = 0;
};

// A viewer of one stream over UDP, told apart by his port.
class TestViewer {
 public:
  TestViewer(LiveWorld* world, const LiveRef& live, std::uint16_t port = 5000,
             std::size_t stream = 0, std::size_t shard = 0)
      : world_(world), shard_(shard), to_(*Endpoint::Parse("127.0.0.1", port)) {
    LiveShard& home = world->at(shard);
    view = home.hub.Attach(live, &observer);
    sender = std::make_unique<LiveSender>(&home.context, view, stream, &observer,
                                          std::make_unique<UdpTransport>(&home.context, to_, to_));
  }
  ~TestViewer() {
    sender.reset();
    world_->at(shard_).hub.Detach(view, &observer);
  }
  TestViewer(const TestViewer&) = delete;
  TestViewer& operator=(const TestViewer&) = delete;

  void Play() {
    view->Refresh();
    sender->Start(world_->now());
  }
  // What has come since it was last asked.
  std::vector<SeenTrain> TakeTrains() {
    std::vector<SeenTrain> mine, others;
    for (SeenTrain& train : world_->at(shard_).trains) {
      (train.to == to_ ? mine : others).push_back(std::move(train));
    }
    world_->at(shard_).trains = std::move(others);
    return mine;
  }
  std::vector<SeenPacket> Take() {
    std::vector<SeenPacket> packets;
    for (const SeenTrain& train : TakeTrains()) {
      packets.insert(packets.end(), train.packets.begin(), train.packets.end());
    }
    return packets;
  }
  // No, as long as `deaf`; everyone else gets what is sent.
  void SetDeaf(bool deaf) {
    if (!deaf) {
      world_->at(shard_).io->take = [](const SendOp&, std::size_t bytes) {
        return static_cast<std::int32_t>(bytes);
      };
      return;
    }
    world_->at(shard_).io->take = [to = to_](const SendOp& op, std::size_t bytes) {
      return op.to != nullptr && *op.to == to ? -EAGAIN : static_cast<std::int32_t>(bytes);
    };
  }

  LiveObserver observer;
  LiveView* view;
  std::unique_ptr<LiveSender> sender;

 private:
  LiveWorld* const world_;
  const std::size_t shard_;
  const Endpoint to_;
};

// first, first + 1 … up to and without `end`.
inline std::vector<std::uint32_t> IdRange(std::uint32_t first, std::uint32_t end) {
  std::vector<std::uint32_t> ids;
  for (std::uint32_t id = first; id < end; ++id) ids.push_back(id);
  return ids;
}

}  // namespace millrace::testing
