#include "tests/sim/sim_world.h"

#include <algorithm>

namespace millrace::sim {

ScheduleProfile ScheduleProfile::Drawn(Random& random) {
  ScheduleProfile p;
  p.delay_max = 1us * (2 + random.Below(200));
  p.late_chance = 0.03 * random.Unit();
  p.late_max = 1us * (100 + random.Below(10000));
  return p;
}

SimWorld::SimWorld(std::uint64_t seed)
    : random_(seed),
      network_(&random_, &clock_, NetworkProfile::Drawn(random_)),
      loader_(&random_, &clock_, LoaderProfile::Drawn(random_)),
      schedule_(ScheduleProfile::Drawn(random_)) {}

SimWorld::SimWorld(std::uint64_t seed, const NetworkProfile& network, const LoaderProfile& loader,
                   const ScheduleProfile& schedule)
    : random_(seed),
      network_(&random_, &clock_, network),
      loader_(&random_, &clock_, loader),
      schedule_(schedule) {}

SimWorld::~SimWorld() = default;

void SimWorld::RemoveShard(SimShard* shard) {
  shards_.erase(std::remove_if(shards_.begin(), shards_.end(),
                               [shard](const Entry& e) { return e.shard == shard; }),
                shards_.end());
}

SimClient& SimWorld::AddClient(bool ipv6, std::uint16_t server_port) {
  const std::size_t n = clients_.size() + 1;
  const std::string v4 = "10.0." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1);
  std::string v6 = "2001:db8:1::" + std::to_string(n % 10000);
  SimClient::Options options;
  options.host = network_.AddHost({v4, v6});
  options.address = ipv6 ? v6 : v4;
  options.server = *Endpoint::Parse(ipv6 ? "2001:db8::1" : "192.0.2.1", server_port);
  options.server_name = options.server.ToString();
  clients_.push_back(std::make_unique<SimClient>(&network_, &clock_, &random_, options));
  return *clients_.back();
}

Duration SimWorld::DrawDelay() {
  const Duration max =
      random_.Chance(schedule_.late_chance) ? schedule_.late_max : schedule_.delay_max;
  return 1us + Duration(random_.Below(static_cast<std::uint64_t>(max.count()) + 1));
}

void SimWorld::Plan(Entry& entry) {
  const Instant wake = entry.shard->NextWake();
  if (wake > clock_.Now()) {
    entry.ready = false;
    entry.planned = wake == kNever ? kNever : wake + entry.delay;
    return;
  }
  if (!entry.ready) {
    entry.ready = true;
    // It may have wanted to run since its wake time, if that was foreseen.
    entry.ready_since = std::clamp(wake, SimClock::kStart, clock_.Now());
    if (entry.planned == kNever || wake < SimClock::kStart) entry.ready_since = clock_.Now();
  }
  entry.planned = std::max(entry.ready_since + entry.delay, clock_.Now());
}

SimWorld::Stepped SimWorld::Step(Instant limit, std::uint64_t* budget) {
  Instant next = std::min(network_.next_due(), loader_.next_due());
  for (const auto& client : clients_) next = std::min(next, client->next_timer());
  for (Entry& entry : shards_) {
    Plan(entry);
    next = std::min(next, entry.planned);
  }
  if (next > limit) return Stepped::kNothingDue;
  if ((*budget)-- == 0) return Stepped::kLivelock;
  ++steps_;
  if (next > clock_.Now()) clock_.MoveTo(next);
  const Instant now = clock_.Now();
  network_.Step(now);
  loader_.Step(now);
  for (const auto& client : clients_) {
    if (client->next_timer() <= now) client->Step(now);
  }
  order_.clear();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (shards_[i].planned <= now) order_.push_back(i);
  }
  for (std::size_t i = order_.size(); i > 1; --i) {
    std::swap(order_[i - 1], order_[random_.Below(i)]);
  }
  for (const std::size_t i : order_) {
    Entry& entry = shards_[i];
    digest_.Add(now);
    digest_.Add(i);
    ++entry.ticks;
    entry.ready = false;
    entry.planned = kNever;
    entry.delay = DrawDelay();
    entry.shard->Tick(now);
  }
  return Stepped::kYes;
}

bool SimWorld::RunUntil(const std::function<bool()>& done, Duration limit) {
  failure_.clear();
  const Instant end = clock_.Now() + limit;
  std::uint64_t budget = steps_max_;
  while (!done()) {
    switch (Step(end, &budget)) {
      case Stepped::kYes:
        break;
      case Stepped::kNothingDue:
        clock_.MoveTo(end);
        failure_ = "not within " + std::to_string(ToSeconds(limit)) + " s of simulated time";
        return false;
      case Stepped::kLivelock:
        failure_ = "more than " + std::to_string(steps_max_) + " steps: a livelock";
        return false;
    }
  }
  return true;
}

bool SimWorld::RunFor(Duration time) {
  RunUntil([] { return false; }, time);
  if (failure_.find("livelock") != std::string::npos) return false;
  failure_.clear();
  return true;
}

int SimWorld::Await(SimClient& client, int cseq, Duration limit) {
  RunUntil([&] { return client.StatusOf(cseq) != 0 || client.ended(); }, limit);
  return client.StatusOf(cseq);
}

std::uint64_t SimWorld::digest() const {
  Digest all = digest_;
  all.Add(network_.digest());
  all.Add(loader_.digest());
  all.Add(clock_.Now());
  return all.value();
}

}  // namespace millrace::sim
