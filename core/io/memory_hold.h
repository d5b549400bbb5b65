// Keeps somebody's memory in place until it is destroyed or reset.
//
// What is held says how it is let go of: a function of two pointers, so that neither a virtual
// table nor an allocation is needed for each hold.
#pragma once

#include <utility>

namespace millrace {

class MemoryHold {
 public:
  using Release = void (*)(void* what, void* context);

  MemoryHold() = default;
  MemoryHold(Release release, void* what, void* context = nullptr)
      : release_(release), what_(what), context_(context) {}
  MemoryHold(MemoryHold&& other) noexcept
      : release_(std::exchange(other.release_, nullptr)),
        what_(other.what_),
        context_(other.context_) {}
  MemoryHold& operator=(MemoryHold&& other) noexcept {
    if (this != &other) {
      Reset();
      release_ = std::exchange(other.release_, nullptr);
      what_ = other.what_;
      context_ = other.context_;
    }
    return *this;
  }
  ~MemoryHold() { Reset(); }

  void Reset() {
    if (const Release release = std::exchange(release_, nullptr)) release(what_, context_);
  }
  // Never lets go.
  void Leak() { release_ = nullptr; }
  explicit operator bool() const { return release_ != nullptr; }

 private:
  Release release_ = nullptr;
  void* what_ = nullptr;
  void* context_ = nullptr;
};

}  // namespace millrace
