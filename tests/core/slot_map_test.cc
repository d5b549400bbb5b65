#include "core/slot_map.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/random.h"

namespace millrace {
namespace {

struct Item {
  Item(Handle<Item> h, int v, int* destroyed = nullptr) : handle(h), value(v), gone(destroyed) {}
  ~Item() {
    if (gone != nullptr) ++*gone;
  }
  Handle<Item> handle;
  int value;
  int* gone;
};

TEST(SlotMap, TellsTheObjectItsHandleAndFindsItByIt) {
  SlotMap<Item> map(10);
  const Handle<Item> handle = map.Emplace(7);
  ASSERT_TRUE(handle);
  ASSERT_NE(map.Find(handle), nullptr);
  EXPECT_EQ(map.Find(handle)->value, 7);
  EXPECT_EQ(map.Find(handle)->handle, handle);
  EXPECT_EQ(map.size(), 1u);
}

TEST(SlotMap, NeverGivesOutOrFindsTheEmptyHandle) {
  SlotMap<Item> map(200);
  EXPECT_EQ(map.Find({}), nullptr);
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(map.Emplace(i));
  EXPECT_EQ(map.Find({}), nullptr);
  EXPECT_FALSE(map.Erase({}));
}

TEST(SlotMap, AStaleHandleFindsNothingEvenWhenItsPlaceIsTakenAgain) {
  SlotMap<Item> map(1);
  const Handle<Item> old = map.Emplace(1);
  EXPECT_TRUE(map.Erase(old));
  EXPECT_EQ(map.Find(old), nullptr);
  const Handle<Item> young = map.Emplace(2);
  EXPECT_EQ(young.index(), old.index());
  EXPECT_NE(young.generation(), old.generation());
  EXPECT_EQ(map.Find(old), nullptr);
  EXPECT_FALSE(map.Erase(old));
  EXPECT_EQ(map.Find(young)->value, 2);
}

TEST(SlotMap, AHandleFromBeyondFindsNothing) {
  SlotMap<Item> map(10);
  map.Emplace(1);
  EXPECT_EQ(map.Find(Handle<Item>{(std::uint64_t{1} << 32) | 1'000'000}), nullptr);
  EXPECT_EQ(map.Find(Handle<Item>{UINT64_MAX}), nullptr);
}

TEST(SlotMap, RefusesBeyondItsBoundAndTakesAgainAfterAnErase) {
  SlotMap<Item> map(3);
  const Handle<Item> first = map.Emplace(0);
  map.Emplace(1);
  map.Emplace(2);
  EXPECT_FALSE(map.Emplace(3));
  EXPECT_EQ(map.size(), 3u);
  map.Erase(first);
  EXPECT_TRUE(map.Emplace(4));
  EXPECT_EQ(map.capacity_max(), 3u);
}

TEST(SlotMap, ObjectsKeepTheirAddressWhileItGrows) {
  SlotMap<Item> map(1000);
  const Handle<Item> first = map.Emplace(42);
  const Item* address = map.Find(first);
  for (int i = 0; i < 999; ++i) map.Emplace(i);
  EXPECT_EQ(map.Find(first), address);
  EXPECT_EQ(address->value, 42);
}

TEST(SlotMap, DestroysEachObjectOnce) {
  int destroyed = 0;
  {
    SlotMap<Item> map(100);
    const Handle<Item> erased = map.Emplace(0, &destroyed);
    for (int i = 0; i < 70; ++i) map.Emplace(i, &destroyed);
    map.Erase(erased);
    EXPECT_EQ(destroyed, 1);
  }
  EXPECT_EQ(destroyed, 71);
}

TEST(SlotMap, ForEachVisitsEveryLiveObjectOnce) {
  SlotMap<Item> map(200);
  std::vector<Handle<Item>> handles;
  for (int i = 0; i < 150; ++i) handles.push_back(map.Emplace(i));
  for (std::size_t i = 0; i < handles.size(); i += 3) map.Erase(handles[i]);
  std::multiset<int> seen;
  map.ForEach([&](Handle<Item> handle, Item& item) {
    EXPECT_EQ(handle, item.handle);
    seen.insert(item.value);
  });
  EXPECT_EQ(seen.size(), 100u);
  for (int i = 0; i < 150; ++i) EXPECT_EQ(seen.count(i), i % 3 == 0 ? 0u : 1u);
}

TEST(SlotMap, ForEachAllowsErasingTheVisitedAndTheOthers) {
  SlotMap<Item> map(200);
  std::vector<Handle<Item>> handles;
  for (int i = 0; i < 130; ++i) handles.push_back(map.Emplace(i));
  std::vector<int> seen;
  map.ForEach([&](Handle<Item> handle, Item& item) {
    seen.push_back(item.value);
    const auto next = static_cast<std::size_t>(item.value) + 1;
    map.Erase(handle);
    if (next < handles.size()) map.Erase(handles[next]);  // not visited any more
  });
  EXPECT_EQ(seen.size(), 65u);
  for (const int value : seen) EXPECT_EQ(value % 2, 0);
  EXPECT_EQ(map.size(), 0u);
}

// Looks itself up while it dies, as an owner's callback might.
struct Curious {
  Curious(Handle<Curious> h, SlotMap<Curious>* m, bool* f) : handle(h), map(m), found(f) {}
  ~Curious() { *found = map->Find(handle) != nullptr || map->Erase(handle); }
  Handle<Curious> handle;
  SlotMap<Curious>* map;
  bool* found;
};

TEST(SlotMap, NobodyFindsADyingObject) {
  SlotMap<Curious> map(2);
  bool found = true;
  const Handle<Curious> handle = map.Emplace(&map, &found);
  map.Erase(handle);
  EXPECT_FALSE(found);
  EXPECT_EQ(map.size(), 0u);
}

TEST(SlotMap, AgreesWithAMapOfEverythingThatEverLived) {
  SeededRandom random(5);
  SlotMap<Item> map(300);
  std::map<std::uint64_t, int> live;
  std::vector<Handle<Item>> ever;
  for (int step = 0; step < 20'000; ++step) {
    if (random.Chance(0.5)) {
      const Handle<Item> handle = map.Emplace(step);
      ASSERT_EQ(static_cast<bool>(handle), live.size() < 300);
      if (!handle) continue;
      ASSERT_TRUE(live.emplace(handle.value, step).second) << "a live handle was given out again";
      ever.push_back(handle);
    } else if (!ever.empty()) {
      const Handle<Item> handle = ever[random.Below(ever.size())];
      ASSERT_EQ(map.Erase(handle), live.erase(handle.value) == 1);
    }
    if (ever.empty()) continue;
    const Handle<Item> probe = ever[random.Below(ever.size())];
    const auto expected = live.find(probe.value);
    const Item* item = map.Find(probe);
    ASSERT_EQ(item != nullptr, expected != live.end());
    if (item != nullptr) {
      ASSERT_EQ(item->value, expected->second);
    }
    ASSERT_EQ(map.size(), live.size());
  }
}

}  // namespace
}  // namespace millrace
