// How a loader thread reaches a shard.
#pragma once

#include <cstddef>

#include "core/mailbox.h"

namespace millrace {

class ShardPoster {
 public:
  virtual ~ShardPoster() = default;
  // From loader `lane` only. Waits while that lane is full (the shard drains it every tick).
  virtual void PostFromLoader(std::size_t lane, std::size_t shard, const Message& message) = 0;
};

}  // namespace millrace
