#include "core/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <string_view>
#include <thread>

namespace millrace {
namespace {

TEST(Memory, CountsEveryFormOfNewAndDelete) {
  constexpr std::align_val_t kAlign{128};
  const AllocationCounts before = ThreadAllocations();
  // Called as functions: a new-expression whose result goes unused may be left out by the compiler.
  void* plain = ::operator new(10);
  void* array = ::operator new[](20);
  void* quiet = ::operator new(30, std::nothrow);
  void* quiet_array = ::operator new[](40, std::nothrow);
  void* aligned = ::operator new(50, kAlign);
  void* aligned_array = ::operator new[](60, kAlign);
  void* quiet_aligned = ::operator new(70, kAlign, std::nothrow);
  void* quiet_aligned_array = ::operator new[](80, kAlign, std::nothrow);
  const AllocationCounts middle = ThreadAllocations();
  for (void* p : {aligned, aligned_array, quiet_aligned, quiet_aligned_array}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 128, 0u);
  }
  const AllocationCounts unchanged = ThreadAllocations();
  ::operator delete(quiet, std::nothrow);
  ::operator delete[](quiet_array);
  ::operator delete[](aligned_array, kAlign);
  ::operator delete(quiet_aligned, kAlign, std::nothrow);
#ifdef __cpp_sized_deallocation
  ::operator delete (plain, std::size_t{10});
  ::operator delete[](array, std::size_t{20});
  ::operator delete (aligned, std::size_t{50}, kAlign);
  ::operator delete[](quiet_aligned_array, std::size_t{80}, kAlign);
#else  // clang without -fsized-deallocation declares none of these
  ::operator delete(plain);
  ::operator delete[](array);
  ::operator delete(aligned, kAlign);
  ::operator delete[](quiet_aligned_array, kAlign);
#endif
  const AllocationCounts after = ThreadAllocations();
  EXPECT_EQ(middle.allocations - before.allocations, 8u);
  EXPECT_EQ(middle.bytes_allocated - before.bytes_allocated, 360u);
  EXPECT_EQ(after.frees - unchanged.frees, 8u);
}

TEST(Memory, CountsEachThreadForItself) {
  const AllocationCounts before = ThreadAllocations();
  AllocationCounts others;
  void* block = ::operator new(64);
  std::thread thread([&] {
    const AllocationCounts start = ThreadAllocations();
    ::operator delete(block);  // given back where it did not come from
    ::operator delete(::operator new(100));
    others = ThreadAllocations();
    others.frees -= start.frees;
    others.allocations -= start.allocations;
  });
  thread.join();
  EXPECT_EQ(others.allocations, 1u);
  EXPECT_EQ(others.frees, 2u);
  EXPECT_GE(ThreadAllocations().allocations, before.allocations + 1);
}

TEST(Memory, DeletingNothingIsNoFree) {
  const std::uint64_t before = ThreadAllocations().frees;
  ::operator delete(nullptr);
  EXPECT_EQ(ThreadAllocations().frees, before);
}

TEST(Memory, GivesDistinctBlocksForNoBytes) {
  void* a = ::operator new(0);
  void* b = ::operator new(0);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(a, b);
  ::operator delete(a);
  ::operator delete(b);
}

#ifndef MILLRACE_SANITIZED  // the sanitizers stop the process at such a size
TEST(Memory, SaysWhenThereIsNoMore) {
  volatile std::size_t too_much = SIZE_MAX / 4;
  EXPECT_THROW(::operator delete(::operator new(too_much)), std::bad_alloc);
  EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
  EXPECT_EQ(::operator new (too_much, std::align_val_t{256}, std::nothrow), nullptr);
}

int handler_calls = 0;

TEST(Memory, AsksTheNewHandlerBeforeGivingUp) {
  volatile std::size_t too_much = SIZE_MAX / 4;
  handler_calls = 0;
  std::set_new_handler([] {
    if (++handler_calls == 3) std::set_new_handler(nullptr);
  });
  EXPECT_THROW(::operator delete(::operator new(too_much)), std::bad_alloc);
  EXPECT_EQ(handler_calls, 3);
}
#endif

TEST(Memory, NamesTheHeap) {
#ifdef MILLRACE_SANITIZED
  EXPECT_STREQ(HeapName(), "malloc");
#else
  EXPECT_EQ(std::string_view(HeapName()).substr(0, 9), "mimalloc ");
#endif
}

TEST(ScopedNoAlloc, CountsWhatIsAllocatedInsideAndNothingElse) {
  const std::uint64_t before = ScopedNoAlloc::Violations();
  ::operator delete(::operator new(1));
  EXPECT_EQ(ScopedNoAlloc::Violations(), before);
  std::uint64_t inside = 0;
  {
    const ScopedNoAlloc guard;
    void* p = ::operator new(1);
    void* q = ::operator new[](1, std::nothrow);
    ::operator delete(p);  // freeing is allowed
    ::operator delete[](q);
    inside = ScopedNoAlloc::Violations();
  }
  EXPECT_EQ(inside, before + 2);
  ::operator delete(::operator new(1));
  EXPECT_EQ(ScopedNoAlloc::Violations(), before + 2);
}

TEST(ScopedNoAlloc, NestsAndEndsWithTheOutermost) {
  const std::uint64_t before = ScopedNoAlloc::Violations();
  {
    const ScopedNoAlloc outer;
    { const ScopedNoAlloc inner; }
    ::operator delete(::operator new(1));
  }
  ::operator delete(::operator new(1));
  EXPECT_EQ(ScopedNoAlloc::Violations(), before + 1);
}

TEST(ScopedNoAlloc, DoesNotReachOtherThreads) {
  std::uint64_t others = 1;
  std::thread thread;
  {
    thread = std::thread([&others] {
      ::operator delete(::operator new(1));
      others = ScopedNoAlloc::Violations();
    });
    const ScopedNoAlloc guard;
    thread.join();
  }
  EXPECT_EQ(others, 0u);
}

TEST(ScopedAllowAlloc, LiftsTheMarkAndPutsItBack) {
  const std::uint64_t before = ScopedNoAlloc::Violations();
  {
    const ScopedNoAlloc guard;
    {
      const ScopedAllowAlloc allowed;
      ::operator delete(::operator new(1));
    }
    ::operator delete(::operator new(1));
  }
  EXPECT_EQ(ScopedNoAlloc::Violations(), before + 1);
}

TEST(ScopedNoAllocDeathTest, StopsTheProcessWhenToldTo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ScopedNoAlloc::AbortOnViolation(true);
        const ScopedNoAlloc guard;
        ::operator delete(::operator new(1));
      },
      "heap allocation where none is allowed");
}

// --- Limits, from copies of /proc and /sys.

class MemoryLimit : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) /
            (std::string("memory_limit_") +
             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    Write("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:         1000 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_.string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::uint64_t Read() const { return MemoryAvailableUnder(root_.string()); }

  static constexpr std::uint64_t kMachine = 16'000'000ull * 1024;
  std::filesystem::path root_;
};

TEST_F(MemoryLimit, IsTheMachinesWithoutControlGroups) { EXPECT_EQ(Read(), kMachine); }

TEST_F(MemoryLimit, IsTheGroupsUnderVersionTwo) {
  Write("/proc/self/cgroup", "0::/system.slice/millrace.service\n");
  Write("/sys/fs/cgroup/system.slice/millrace.service/memory.max", "1073741824\n");
  Write("/sys/fs/cgroup/system.slice/memory.max", "max\n");
  EXPECT_EQ(Read(), 1073741824u);
}

TEST_F(MemoryLimit, IsTheLeastOfAllAncestors) {
  Write("/proc/self/cgroup", "0::/a/b/c\n");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "3000000\n");
  Write("/sys/fs/cgroup/a/memory.max", "1000000\n");
  Write("/sys/fs/cgroup/a/b/memory.max", "2000000\n");
  EXPECT_EQ(Read(), 1000000u);
}

TEST_F(MemoryLimit, MaxMeansNone) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(Read(), kMachine);
}

TEST_F(MemoryLimit, IsTheGroupsUnderVersionOne) {
  Write("/proc/self/cgroup",
        "9:name=systemd:/\n4:cpu,memory:/box\n3:memoryless:/wrong\n2:cpuset:/\n");
  Write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "500000000\n");
  Write("/sys/fs/cgroup/memory/wrong/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(Read(), 500000000u);
}

TEST_F(MemoryLimit, IsTheMountsTopWhenTheNamedGroupIsTheHosts) {
  Write("/proc/self/cgroup", "4:memory:/docker/0123abcd\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "700000000\n");
  EXPECT_EQ(Read(), 700000000u);
}

TEST_F(MemoryLimit, IsTheMachinesWhenTheGroupAllowsMore) {
  Write("/proc/self/cgroup", "4:memory:/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Read(), kMachine);
}

TEST_F(MemoryLimit, SurvivesFilesThatMakeNoSense) {
  Write("/proc/self/cgroup", "\n::\n0\n0:\n0::no-slash\nmemory\n4:memory:\n");
  Write("/sys/fs/cgroup/memory.max", "plenty\n");
  EXPECT_EQ(Read(), kMachine);
}

TEST_F(MemoryLimit, IsNothingWhereNothingCanBeRead) {
  EXPECT_EQ(MemoryAvailableUnder(root_.string() + "/nowhere"), 0u);
}

TEST(Memory, KnowsThisMachine) {
  EXPECT_GT(MemoryAvailableToProcess(), 16u << 20);
  EXPECT_GT(ResidentBytes(), 1u << 20);
  EXPECT_LT(ResidentBytes(), MemoryAvailableToProcess());
}

TEST(Memory, SeesTheResidentSetGrow) {
  const std::uint64_t before = ResidentBytes();
  constexpr std::size_t kBytes = 64u << 20;
  // Pages of their own: the heap might hand out some that are resident already.
  void* pages = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  const std::uint64_t during = ResidentBytes();
  munmap(pages, kBytes);
  EXPECT_GT(during, before + kBytes / 2);
}

}  // namespace
}  // namespace millrace
