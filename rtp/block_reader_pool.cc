#include "rtp/block_reader_pool.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/logging.h"

namespace millrace {
namespace {

constexpr std::size_t kSweepAtLeast = 64;

}  // namespace

struct BlockReaderPool::Idle {
  Idle* next = nullptr;  // in idle_
  Idle* previous = nullptr;
  Record* record = nullptr;
  std::unique_ptr<BlockReader> reader;
};

// What is remembered of a presentation while anyone holds it.
struct BlockReaderPool::Record {
  // Of one stream in one block.
  struct Numbers {
    std::uint16_t first = 0;
    std::uint16_t next = 0;  // meaningful once built
    bool built = false;
  };

  std::weak_ptr<const Presentation> presentation;
  std::size_t streams = 0;
  absl::flat_hash_map<std::uint64_t, Numbers> numbers;  // by block * streams + stream
  std::vector<std::unique_ptr<Idle>> idle;              // seldom more than one per loader
  bool logged_late = false, logged_malformed = false, logged_cut = false;

  std::vector<std::uint16_t> FirstSequences(const Presentation& of, std::uint32_t block);
  void NoteBuilt(const BlockSet& set);
};

// A block whose predecessor is unknown begins at a number of its own, far from its neighbours'.
std::vector<std::uint16_t> BlockReaderPool::Record::FirstSequences(const Presentation& of,
                                                                   std::uint32_t block) {
  std::vector<std::uint16_t> first(streams);
  for (std::size_t s = 0; s < streams; ++s) {
    const auto [it, is_new] = numbers.try_emplace(std::uint64_t{block} * streams + s);
    if (is_new) {
      const std::uint16_t start = of.streams[s].first_sequence;
      const auto before =
          block == 0 ? numbers.end() : numbers.find(std::uint64_t{block - 1} * streams + s);
      it->second.first = before != numbers.end() && before->second.built
                             ? before->second.next
                             : static_cast<std::uint16_t>(start + block * 40503u);
    }
    first[s] = it->second.first;
  }
  return first;
}

void BlockReaderPool::Record::NoteBuilt(const BlockSet& set) {
  for (std::size_t s = 0; s < streams; ++s) {
    Numbers& n = numbers[std::uint64_t{set.number} * streams + s];
    n.next = static_cast<std::uint16_t>(n.first + set.streams[s].packets().size());
    n.built = true;
  }
}

BlockReaderPool::BlockReaderPool(Library* library, const VodOptions& options)
    : library_(library), options_(options), sweep_at_(kSweepAtLeast) {}

BlockReaderPool::~BlockReaderPool() = default;

absl::StatusOr<std::unique_ptr<BlockSet>> BlockReaderPool::ReadBlock(
    const PresentationRef& presentation, std::uint32_t number) {
  std::vector<std::unique_ptr<Record>> dead;
  std::unique_ptr<Idle> taken;
  std::vector<std::uint16_t> first_sequences;
  {
    const std::lock_guard lock(mutex_);
    Record& record = RecordOf(presentation, &dead);
    first_sequences = record.FirstSequences(*presentation, number);
    taken = TakeIdle(record, number);
  }
  std::unique_ptr<BlockReader> reader;
  if (taken != nullptr) {
    reader = std::move(taken->reader);
  } else {
    absl::StatusOr<std::unique_ptr<BlockReader>> opened = OpenReader(*presentation);
    if (!opened.ok()) return opened.status();
    reader = *std::move(opened);
  }
  absl::StatusOr<std::unique_ptr<BlockSet>> set =
      reader->Read(*presentation, number, first_sequences);
  if (absl::IsResourceExhausted(set.status())) {
    // A playlist opens files while it is read.
    CloseIdle();
    absl::StatusOr<std::unique_ptr<BlockReader>> opened = OpenReader(*presentation);
    if (!opened.ok()) return opened.status();
    reader = *std::move(opened);
    set = reader->Read(*presentation, number, first_sequences);
  }
  if (presentation->growing() && absl::IsUnavailable(set.status())) {
    KeepReader(presentation, std::move(reader));
  }
  if (!set.ok()) return set.status();
  if (presentation->growing()) {
    if (!(*set)->last) {
      presentation->growing_end->Extend((number + 1) * presentation->block_duration);
    } else {
      presentation->growing_end->set_over();
    }
  }
  LogLosses(*presentation, reader->losses());
  std::unique_ptr<Idle> closed;
  const std::lock_guard lock(mutex_);
  Record& record = RecordOf(presentation, &dead);
  record.NoteBuilt(**set);
  closed = KeepIdle(record, std::move(reader));
  return set;
}

absl::Status BlockReaderPool::FindEnd(const PresentationRef& presentation) {
  std::vector<std::unique_ptr<Record>> dead;
  std::unique_ptr<Idle> taken;
  {
    const std::lock_guard lock(mutex_);
    taken = TakeIdle(RecordOf(presentation, &dead), BlockReader::kNoBlock);
  }
  std::unique_ptr<BlockReader> reader;
  if (taken != nullptr) {
    reader = std::move(taken->reader);
  } else {
    absl::StatusOr<std::unique_ptr<BlockReader>> opened = OpenReader(*presentation);
    if (!opened.ok()) return opened.status();
    reader = *std::move(opened);
  }
  const absl::StatusOr<Duration> end = reader->FindEnd();
  if (!end.ok()) return end.status();
  presentation->growing_end->Extend(*end);
  KeepReader(presentation, std::move(reader));
  return absl::OkStatus();
}

void BlockReaderPool::Donate(const PresentationRef& presentation,
                             std::unique_ptr<Demuxer> demuxer) {
  KeepReader(presentation, std::make_unique<BlockReader>(std::move(demuxer), options_));
}

void BlockReaderPool::KeepReader(const PresentationRef& presentation,
                                 std::unique_ptr<BlockReader> reader) {
  std::vector<std::unique_ptr<Record>> dead;
  std::unique_ptr<Idle> closed;
  const std::lock_guard lock(mutex_);
  closed = KeepIdle(RecordOf(presentation, &dead), std::move(reader));
}

absl::StatusOr<std::unique_ptr<Demuxer>> BlockReaderPool::OpenDemuxer(std::string_view path) {
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = library_->Open(path);
  if (absl::IsResourceExhausted(demuxer.status())) {
    CloseIdle();
    demuxer = library_->Open(path);
  }
  return demuxer;
}

absl::StatusOr<AssetIdentity> BlockReaderPool::Identify(std::string_view path) {
  absl::StatusOr<AssetIdentity> identity = library_->Identify(path);
  if (absl::IsResourceExhausted(identity.status())) {
    CloseIdle();
    identity = library_->Identify(path);
  }
  return identity;
}

absl::StatusOr<std::unique_ptr<BlockReader>> BlockReaderPool::OpenReader(
    const Presentation& presentation) {
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = OpenDemuxer(presentation.path);
  if (!demuxer.ok()) return demuxer.status();
  const absl::StatusOr<AssetIdentity> identity = Identify(presentation.path);
  if (!identity.ok()) return identity.status();
  const bool same = *identity == presentation.identity ||
                    (presentation.growing() && identity->HasGrownFrom(presentation.identity));
  const bool other = presentation.growing() && (*demuxer)->info().growing &&
                     (*demuxer)->info().beginning != presentation.beginning;
  if (!same || other || (*demuxer)->info().tracks.size() != presentation.streams.size()) {
    return absl::AbortedError("file changed while it was being served");
  }
  return std::make_unique<BlockReader>(*std::move(demuxer), options_);
}

void BlockReaderPool::CloseIdle() {
  std::vector<std::unique_ptr<Idle>> closed;
  const std::lock_guard lock(mutex_);
  for (auto& [id, record] : records_) {
    for (std::unique_ptr<Idle>& idle : record->idle) {
      idle_.Remove(idle.get());
      closed.push_back(std::move(idle));
    }
    record->idle.clear();
  }
}

void BlockReaderPool::LogLosses(const Presentation& presentation, const BlockReadLosses& losses) {
  if (losses.late_units == 0 && losses.malformed_units == 0 && losses.cut_units == 0) return;
  const auto first_time = [](std::uint64_t units, bool& logged) {
    return units != 0 && !std::exchange(logged, true);
  };
  bool late, malformed, cut;
  {
    const std::lock_guard lock(mutex_);
    Record& record = *records_.at(presentation.id);  // its reader's caller holds the presentation
    late = first_time(losses.late_units, record.logged_late);
    malformed = first_time(losses.malformed_units, record.logged_malformed);
    cut = first_time(losses.cut_units, record.logged_cut);
  }
  if (late) {
    LogWarn("{}: frames lie more than {} s apart from other tracks' in the file; they are left out",
            presentation.file(), kInterleaveMargin / 1s);
  }
  if (malformed) LogWarn("{}: has damaged frames, sent as far as sound", presentation.file());
  if (cut) {
    LogWarn("{}: goes on long after its stated end; the rest is left out", presentation.file());
  }
}

void BlockReaderPool::ForgetUnused() {
  std::vector<std::unique_ptr<Record>> dead;
  const std::lock_guard lock(mutex_);
  Sweep(&dead);
}

BlockReaderPool::Record& BlockReaderPool::RecordOf(const PresentationRef& presentation,
                                                   std::vector<std::unique_ptr<Record>>* dead) {
  const auto found = records_.find(presentation->id);
  if (found != records_.end()) return *found->second;
  if (records_.size() >= sweep_at_) {
    Sweep(dead);
    sweep_at_ = std::max(kSweepAtLeast, 2 * records_.size());
  }
  auto record = std::make_unique<Record>();
  record->presentation = presentation;
  record->streams = presentation->streams.size();
  return *(records_[presentation->id] = std::move(record));
}

// Preferably one that need not seek, else the one not used for longest; null when the presentation
// has none.
std::unique_ptr<BlockReaderPool::Idle> BlockReaderPool::TakeIdle(Record& record,
                                                                 std::uint32_t number) {
  if (record.idle.empty()) return nullptr;
  auto chosen = std::find_if(
      record.idle.begin(), record.idle.end(),
      [number](const std::unique_ptr<Idle>& i) { return i->reader->next_block() == number; });
  if (chosen == record.idle.end()) chosen = record.idle.begin();
  return Unlink(chosen->get());
}

// Returns the one that has to be closed for it, to be destroyed outside the lock.
std::unique_ptr<BlockReaderPool::Idle> BlockReaderPool::KeepIdle(
    Record& record, std::unique_ptr<BlockReader> reader) {
  auto idle = std::make_unique<Idle>();
  idle->record = &record;
  idle->reader = std::move(reader);
  idle_.PushBack(idle.get());
  record.idle.push_back(std::move(idle));
  return idle_.size() > options_.open_readers_max ? Unlink(idle_.front()) : nullptr;
}

std::unique_ptr<BlockReaderPool::Idle> BlockReaderPool::Unlink(Idle* idle) {
  std::vector<std::unique_ptr<Idle>>& siblings = idle->record->idle;
  const auto it = std::find_if(siblings.begin(), siblings.end(),
                               [idle](const std::unique_ptr<Idle>& i) { return i.get() == idle; });
  std::unique_ptr<Idle> owned = std::move(*it);
  siblings.erase(it);
  idle_.Remove(idle);
  return owned;
}

// What dies is destroyed by the caller outside the lock: closing a file may take long.
void BlockReaderPool::Sweep(std::vector<std::unique_ptr<Record>>* dead) {
  for (auto it = records_.begin(); it != records_.end();) {
    const auto here = it++;
    if (!here->second->presentation.expired()) continue;
    for (const std::unique_ptr<Idle>& idle : here->second->idle) idle_.Remove(idle.get());
    dead->push_back(std::move(here->second));
    records_.erase(here);
  }
}

std::size_t BlockReaderPool::idle_readers() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

std::size_t BlockReaderPool::presentations() const {
  const std::lock_guard lock(mutex_);
  return records_.size();
}

}  // namespace millrace
