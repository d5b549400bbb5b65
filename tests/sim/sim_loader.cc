#include "tests/sim/sim_loader.h"

#include <algorithm>

namespace millrace::sim {
namespace {

Duration DrawUpTo(Random& random, Duration max) {
  return Duration(random.Below(static_cast<std::uint64_t>(std::max(max, Duration(0)).count()) + 1));
}

}  // namespace

LoaderProfile LoaderProfile::Drawn(Random& random) {
  LoaderProfile p;
  p.delay_min = 1us * (10 + random.Below(200));
  p.delay_max = p.delay_min + 1us * random.Below(20000);
  p.long_chance = random.Chance(0.3) ? 0.2 * random.Unit() : 0.01;
  p.long_delay = 1ms * (1 + random.Below(800));
  return p;
}

SimLoader::SimLoader(Random* random, const Clock* clock, const LoaderProfile& profile)
    : random_(random), clock_(clock), profile_(profile) {}

SimLoader::~SimLoader() { Stop(); }

Duration SimLoader::DrawDelay() {
  if (random_->Chance(profile_.long_chance)) return DrawUpTo(*random_, profile_.long_delay);
  return profile_.delay_min + DrawUpTo(*random_, profile_.delay_max - profile_.delay_min);
}

void SimLoader::Submit(LoadJob* job) {
  if (stopped_) {
    job->Cancel();
    return;
  }
  busy_until_ = std::max(busy_until_, clock_->Now()) + DrawDelay();
  jobs_.push_back({busy_until_, job});
}

Instant SimLoader::next_due() const { return jobs_.empty() ? kNever : jobs_.front().due; }

void SimLoader::Step(Instant now) {
  for (std::size_t left = jobs_.size(); left > 0 && !jobs_.empty(); --left) {
    const Waiting front = jobs_.front();
    if (front.due > now) return;
    jobs_.pop_front();
    digest_.Add(front.due);
    digest_.Add(++jobs_run_);
    front.job->Run(0);  // may submit, stop, or be gone afterwards
  }
}

void SimLoader::Stop() {
  stopped_ = true;
  std::deque<Waiting> jobs;
  std::swap(jobs, jobs_);
  for (const Waiting& waiting : jobs) waiting.job->Cancel();
}

}  // namespace millrace::sim
