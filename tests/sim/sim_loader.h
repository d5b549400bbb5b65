// The loader of the simulation: jobs run on the same thread, one after the other, each after a
// drawn delay that is now and then long, as disks are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "core/clock.h"
#include "core/random.h"
#include "media/loader.h"
#include "tests/sim/digest.h"

namespace millrace::sim {

struct LoaderProfile {
  Duration delay_min = 50us, delay_max = 5ms;
  double long_chance = 0.02;
  Duration long_delay = 300ms;  // at most; drawn

  static LoaderProfile Drawn(Random& random);
};

class SimLoader final : public Loader {
 public:
  SimLoader(Random* random, const Clock* clock, const LoaderProfile& profile);
  ~SimLoader() override;  // Stop

  LoaderProfile& profile() { return profile_; }
  void Submit(LoadJob* job) override;
  std::size_t lanes() const override { return 1; }

  Instant next_due() const;
  // Runs what is due at `now`; a job it submits runs in a later Step.
  void Step(Instant now);
  // Cancels what waits; later Submits are cancelled at once.
  void Stop();

  std::size_t waiting() const { return jobs_.size(); }
  std::uint64_t jobs_run() const { return jobs_run_; }
  std::uint64_t digest() const { return digest_.value(); }

 private:
  struct Waiting {
    Instant due;
    LoadJob* job;
  };
  Duration DrawDelay();

  Random* const random_;
  const Clock* const clock_;
  LoaderProfile profile_;
  std::deque<Waiting> jobs_;
  bool stopped_ = false;
  Instant busy_until_{};
  std::uint64_t jobs_run_ = 0;
  Digest digest_;
};

}  // namespace millrace::sim
