#include "core/mailbox.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "core/random.h"

namespace millrace {
namespace {

// What came, by lane.
struct Receiver {
  explicit Receiver(std::size_t lanes) : by_lane(lanes) {}
  std::vector<std::vector<std::uint64_t>> by_lane;
  std::size_t total = 0;
  Mailbox* echo_to = nullptr;
};

struct Letter {
  std::size_t lane;
  std::uint64_t number;
};

void OnLetter(void* receiver, const Message& message) {
  auto* r = static_cast<Receiver*>(receiver);
  const auto letter = message.As<Letter>();
  r->by_lane[letter.lane].push_back(letter.number);
  ++r->total;
  if (r->echo_to != nullptr) r->echo_to->Post(letter.lane, message);
}

bool PostLetter(Mailbox& mailbox, std::size_t lane, std::uint64_t number) {
  return mailbox.Post(lane, Message::Make(&OnLetter, Letter{lane, number}));
}

// Counts; the two-thread tests below have one that really sleeps.
class CountingWaker final : public Waker {
 public:
  void Wake() override { ++wakes; }
  int wakes = 0;
};

TEST(Message, CarriesAsManyBytesAsItSays) {
  struct Full {
    std::array<std::uint8_t, Message::kPayloadMax> bytes;
  };
  Full in;
  for (std::size_t i = 0; i < in.bytes.size(); ++i) in.bytes[i] = static_cast<std::uint8_t>(i * 3);
  const Message message = Message::Make(&OnLetter, in);
  EXPECT_EQ(message.As<Full>().bytes, in.bytes);
  EXPECT_EQ(message.handler, &OnLetter);
}

TEST(Mailbox, KeepsTheOrderOfEachLane) {
  Receiver receiver(3);
  Mailbox mailbox(3, &receiver);
  SeededRandom random(1);
  std::array<std::uint64_t, 3> next{};
  for (int i = 0; i < 500; ++i) {
    const std::size_t lane = random.Below(3);
    ASSERT_TRUE(PostLetter(mailbox, lane, next[lane]++));
    if (random.Chance(0.05)) mailbox.Drain();
  }
  mailbox.Drain();
  EXPECT_EQ(receiver.total, 500u);
  for (std::size_t lane = 0; lane < 3; ++lane) {
    ASSERT_EQ(receiver.by_lane[lane].size(), next[lane]);
    for (std::uint64_t i = 0; i < next[lane]; ++i) ASSERT_EQ(receiver.by_lane[lane][i], i);
  }
}

TEST(Mailbox, AFullLaneRefusesAndTheOthersGoOn) {
  Receiver receiver(2);
  Mailbox mailbox(2, &receiver);
  for (std::size_t i = 0; i < Mailbox::kLaneCapacity; ++i) ASSERT_TRUE(PostLetter(mailbox, 0, i));
  EXPECT_FALSE(PostLetter(mailbox, 0, 5000));
  EXPECT_TRUE(PostLetter(mailbox, 1, 7));
  EXPECT_EQ(mailbox.Drain(), Mailbox::kLaneCapacity + 1);
  EXPECT_EQ(receiver.by_lane[0].back(), Mailbox::kLaneCapacity - 1);  // the refused one never came
  EXPECT_TRUE(PostLetter(mailbox, 0, 5001));
  EXPECT_EQ(mailbox.Drain(), 1u);
}

TEST(Mailbox, DrainsNothingFromNothing) {
  Receiver receiver(2);
  Mailbox mailbox(2, &receiver);
  EXPECT_EQ(mailbox.Drain(), 0u);
}

TEST(Mailbox, AHandlerThatPostsToItsOwnShardDoesNotKeepItInDrain) {
  Receiver receiver(1);
  Mailbox mailbox(1, &receiver);
  receiver.echo_to = &mailbox;
  PostLetter(mailbox, 0, 1);
  EXPECT_EQ(mailbox.Drain(), 1u);
  EXPECT_EQ(mailbox.Drain(), 1u);
  EXPECT_FALSE(mailbox.BeginSleep());  // one more waits
}

TEST(Mailbox, RefusesToSleepOverAMessage) {
  Receiver receiver(4);
  Mailbox mailbox(4, &receiver);
  CountingWaker waker;
  mailbox.set_waker(&waker);
  PostLetter(mailbox, 3, 1);
  EXPECT_FALSE(mailbox.BeginSleep());
  mailbox.EndSleep();
  mailbox.Drain();
  EXPECT_TRUE(mailbox.BeginSleep());
  EXPECT_EQ(waker.wakes, 0);
}

TEST(Mailbox, WakesASleeperOnceAndAWakingOneNever) {
  Receiver receiver(2);
  Mailbox mailbox(2, &receiver);
  CountingWaker waker;
  mailbox.set_waker(&waker);
  PostLetter(mailbox, 0, 0);
  EXPECT_EQ(waker.wakes, 0);
  mailbox.Drain();
  ASSERT_TRUE(mailbox.BeginSleep());
  PostLetter(mailbox, 0, 1);
  PostLetter(mailbox, 1, 0);
  PostLetter(mailbox, 1, 1);
  EXPECT_EQ(waker.wakes, 1);
  mailbox.EndSleep();
  PostLetter(mailbox, 0, 2);
  EXPECT_EQ(waker.wakes, 1);
}

TEST(Mailbox, ARefusedSleepNeedsNoWakeUp) {
  Receiver receiver(1);
  Mailbox mailbox(1, &receiver);
  CountingWaker waker;
  mailbox.set_waker(&waker);
  PostLetter(mailbox, 0, 0);
  ASSERT_FALSE(mailbox.BeginSleep());
  PostLetter(mailbox, 0, 1);
  EXPECT_EQ(waker.wakes, 0);
}

void WaitUntil(const std::atomic<std::uint64_t>& value, std::uint64_t wanted) {
  for (int spins = 0; value.load(std::memory_order_acquire) < wanted; ++spins) {
    if (spins > 2000) std::this_thread::yield();
  }
}

void Dawdle(std::uint64_t steps) {
  for (; steps > 0; --steps) std::atomic_signal_fence(std::memory_order_seq_cst);
}

// The nth processor this process may use, if there are so many: two threads that take turns on one
// never race.
void RunOnProcessor(int nth) {
  cpu_set_t usable, chosen;
  CPU_ZERO(&usable);
  CPU_ZERO(&chosen);
  sched_getaffinity(0, sizeof(usable), &usable);
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &usable) && nth-- == 0) CPU_SET(i, &chosen);
  }
  if (CPU_COUNT(&chosen) == 1) pthread_setaffinity_np(pthread_self(), sizeof(chosen), &chosen);
}

// One producer and one owner that post and fall asleep at the same moment, round after round.
class SleepRace {
 public:
  SleepRace() { mailbox_.set_waker(&waker_); }

  void RunProducer() {
    RunOnProcessor(0);
    SeededRandom random(1);
    for (std::uint64_t round = 1;; ++round) {
      const std::uint64_t dawdle = random.Below(40);
      WaitUntil(started_, round);
      if (started_ == kEnd) return;
      Dawdle(dawdle);
      PostLetter(mailbox_, 0, round);
      posted_.store(round, std::memory_order_release);
    }
  }

  void RunOwner() {
    RunOnProcessor(1);
    const auto enough = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
    SeededRandom random(2);
    std::uint64_t head_start = 0;  // the producer's; follows what comes out, so that both are tried
    for (std::uint64_t round = 1; round <= 500'000; ++round) {
      const std::uint64_t dawdle = head_start + random.Below(40);
      waker_.wakes = 0;
      started_.store(round, std::memory_order_release);
      Dawdle(dawdle);
      const bool slept = mailbox_.BeginSleep();
      WaitUntil(posted_, round);
      ++(!slept ? refused : waker_.wakes == 1 ? woken : lost);
      head_start = slept ? std::min<std::uint64_t>(head_start + 2, 5000)
                         : head_start - std::min<std::uint64_t>(head_start, 2);
      mailbox_.EndSleep();
      mailbox_.Drain();
      if (round % 256 == 0 && std::chrono::steady_clock::now() > enough) break;
    }
    started_.store(kEnd, std::memory_order_release);
  }

  std::uint64_t refused = 0, woken = 0, lost = 0;
  std::size_t drained() const { return receiver_.total; }

 private:
  static constexpr std::uint64_t kEnd = UINT64_MAX;

  Receiver receiver_{1};
  Mailbox mailbox_{1, &receiver_};
  CountingWaker waker_;
  alignas(64) std::atomic<std::uint64_t> started_{0};
  alignas(64) std::atomic<std::uint64_t> posted_{0};
};

// Invariants 1 and 2: without either fence both sides now and then read before the other's store is
// seen, and the letter lies there with nobody awake.
TEST(Mailbox, EitherRefusesTheSleepOrIsWokenWhenPostAndSleepRace) {
  SleepRace race;
  std::thread producer([&] { race.RunProducer(); });
  std::thread owner([&] { race.RunOwner(); });
  owner.join();
  producer.join();
  EXPECT_EQ(race.lost, 0u) << "of " << race.lost + race.refused + race.woken << " rounds";
  EXPECT_EQ(race.drained(), race.refused + race.woken);
  EXPECT_GT(race.refused + race.woken, 0u);
}

// Sticky, as invariant 4 asks; says when a sleep lasted so long that its wake-up must be lost.
class SleepingWaker final : public Waker {
 public:
  void Wake() override {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }
  // False: nobody woke it.
  bool Sleep() {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool woken = changed_.wait_for(lock, std::chrono::seconds(2), [this] { return woken_; });
    woken_ = false;
    return woken;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

// Producers send and wait for the answer before the next letter, so that the owner falls asleep
// again and again, just when something comes.
TEST(Mailbox, LosesNoWakeUpWhenTheOwnerSleepsAtEveryChance) {
  constexpr std::size_t kLanes = 2;
  constexpr std::uint64_t kLetters = 10'000;
  Receiver receiver(kLanes);
  Mailbox mailbox(kLanes, &receiver);
  SleepingWaker waker;
  mailbox.set_waker(&waker);
  std::array<std::atomic<std::uint64_t>, kLanes> answered{};
  std::atomic<bool> give_up{false};

  std::vector<std::thread> producers;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    producers.emplace_back([&, lane] {
      SeededRandom random(lane);
      for (std::uint64_t i = 0; i < kLetters && !give_up; ++i) {
        while (!PostLetter(mailbox, lane, i) && !give_up) std::this_thread::yield();
        while (answered[lane].load(std::memory_order_acquire) <= i && !give_up) {
          std::this_thread::yield();
        }
        // Lets the owner get a varying part of the way to its sleep.
        for (std::uint64_t n = random.Below(200); n > 0; --n) {
          std::atomic_signal_fence(std::memory_order_seq_cst);
        }
      }
    });
  }
  std::size_t sleeps = 0;
  while (receiver.total < kLanes * kLetters && !give_up) {
    if (mailbox.BeginSleep()) {
      ++sleeps;
      if (!waker.Sleep()) give_up = true;
    }
    mailbox.EndSleep();
    mailbox.Drain();
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      answered[lane].store(receiver.by_lane[lane].size(), std::memory_order_release);
    }
  }
  EXPECT_FALSE(give_up) << "a wake-up was lost after " << receiver.total << " letters";
  give_up = true;
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(receiver.total, kLanes * kLetters);
  EXPECT_GT(sleeps, 100u);  // else nothing was tried
}

TEST(Mailbox, DeliversEverythingInOrderUnderAFloodThatFillsTheLanes) {
  constexpr std::size_t kLanes = 3;
  constexpr std::uint64_t kLetters = 30'000;
  Receiver receiver(kLanes);
  Mailbox mailbox(kLanes, &receiver);
  SleepingWaker waker;
  mailbox.set_waker(&waker);
  std::atomic<bool> give_up{false};
  std::vector<std::thread> producers;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    producers.emplace_back([&, lane] {
      for (std::uint64_t i = 0; i < kLetters; ++i) {
        while (!PostLetter(mailbox, lane, i)) {
          if (give_up) return;
          std::this_thread::yield();
        }
      }
    });
  }
  while (receiver.total < kLanes * kLetters && !give_up) {
    if (mailbox.BeginSleep() && !waker.Sleep()) give_up = true;
    mailbox.EndSleep();
    mailbox.Drain();
  }
  EXPECT_FALSE(give_up);
  for (std::thread& producer : producers) producer.join();
  for (const auto& lane : receiver.by_lane) {
    ASSERT_EQ(lane.size(), kLetters);
    for (std::uint64_t i = 0; i < kLetters; ++i) ASSERT_EQ(lane[i], i);
  }
}

}  // namespace
}  // namespace millrace
