#include "media/mp4_tables.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "media/indexed_demuxer.h"
#include "media/timeline.h"

namespace millrace {
namespace {

constexpr std::size_t kTracksMax = 64;
constexpr int kBoxesMax = 1000;  // within one box
// A few such times may be added.
constexpr std::int64_t kTimeMax = kContainerTicksMax / 4;

// The bytes of a box, whose fields are read one after the other. Behind the end there are zeros,
// and ok() is false for good.
class Fields {
 public:
  explicit Fields(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t Read(std::size_t count) {
    if (left() < count) {
      ok_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes_[at_++];
    return value;
  }
  std::uint32_t Read32() {  // the same, for the many
    if (left() < 4) return static_cast<std::uint32_t>(Read(4));
    const std::uint8_t* const field = bytes_.data() + at_;
    at_ += 4;
    return std::uint32_t{field[0]} << 24 | std::uint32_t{field[1]} << 16 |
           std::uint32_t{field[2]} << 8 | field[3];
  }
  std::int32_t ReadSigned32() { return static_cast<std::int32_t>(Read32()); }
  void Skip(std::size_t count) {
    ok_ = ok_ && count <= left();
    at_ += std::min(count, left());
  }
  bool ok() const { return ok_; }
  std::size_t left() const { return bytes_.size() - at_; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// The boxes directly in one, or nothing when it holds something else or is cut.
using Boxes = std::vector<Mp4Box>;
std::optional<Boxes> BoxesIn(const MediaFile& file, const FileRange& range) {
  Boxes boxes;
  for (std::uint64_t at = range.begin; range.end - at >= 8; at = boxes.back().payload.end) {
    const std::optional<Mp4Box> box = ReadMp4Box(file, at, range.end);
    if (!box || box->cut || boxes.size() >= kBoxesMax) return std::nullopt;
    boxes.push_back(*box);
  }
  return boxes;
}

bool Has(const Boxes& boxes, std::string_view type) {
  return std::ranges::find(boxes, BoxType(type), &Mp4Box::type) != boxes.end();
}

// The one of its type; null when there is none or there are several.
const Mp4Box* Only(const Boxes& boxes, std::string_view type) {
  const auto first = std::ranges::find(boxes, BoxType(type), &Mp4Box::type);
  if (first == boxes.end()) return nullptr;
  const bool several = std::find_if(first + 1, boxes.end(), [&](auto& box) {
                         return box.type == first->type;
                       }) != boxes.end();
  return several ? nullptr : &*first;
}

// The boxes in that one; nothing also when it is not there once.
std::optional<Boxes> BoxesInOnly(const MediaFile& file, const Boxes& boxes, std::string_view type) {
  const Mp4Box* const box = Only(boxes, type);
  return box == nullptr ? std::nullopt : BoxesIn(file, box->payload);
}

// At most `bytes_max` bytes of the payload, from `from` on.
Fields FieldsOf(const MediaFile& file, const Mp4Box& box, std::uint64_t bytes_max,
                std::uint64_t from = 0) {
  const std::uint64_t size = box.payload.end - box.payload.begin;
  std::vector<std::uint8_t> bytes(
      static_cast<std::size_t>(std::min(size - std::min(from, size), bytes_max)));
  bytes.resize(file.ReadAt(box.payload.begin + from, bytes).value_or(0));
  return Fields(std::move(bytes));
}

// A table of entries behind `head_bytes`, of which the last four say how many there are.
struct Table {
  std::uint32_t count = 0;
  Fields entries;
};
// Nothing: they do not fit into their box, or are more than `count_max`.
std::optional<Table> TableOf(const MediaFile& file, const Mp4Box& box, std::size_t head_bytes,
                             std::size_t entry_bytes, std::size_t count_max) {
  Fields head = FieldsOf(file, box, head_bytes);
  head.Skip(head_bytes - 4);
  const std::uint32_t count = head.Read32();
  if (!head.ok() || count > count_max) return std::nullopt;
  Table table{count, FieldsOf(file, box, std::uint64_t{count} * entry_bytes, head_bytes)};
  if (table.entries.left() / entry_bytes < count) return std::nullopt;
  return table;
}

// A box of version 0 or 1, behind its version and flags.
struct Versioned {
  Fields fields;
  std::size_t length = 0;  // of the fields that version 1 makes longer
};
// Nothing: of another version.
std::optional<Versioned> VersionedOf(const MediaFile& file, const Mp4Box& box) {
  constexpr std::uint64_t kBytesMax = 64 << 10;
  Versioned read{FieldsOf(file, box, kBytesMax)};
  const std::uint64_t version = read.fields.Read(1);
  read.fields.Skip(3);
  if (!read.fields.ok() || version > 1) return std::nullopt;
  read.length = version == 1 ? 8 : 4;
  return read;
}

// `mvhd` and `mdhd`, sections 8.2.2 and 8.4.2: ticks a second; 0: none.
std::uint32_t TimescaleOf(const MediaFile& file, const Mp4Box* header) {
  std::optional<Versioned> read = header == nullptr ? std::nullopt : VersionedOf(file, *header);
  if (!read) return 0;
  read->fields.Skip(2 * read->length);  // when it was made and changed
  const std::uint32_t timescale = read->fields.Read32();
  return timescale <= INT32_MAX ? timescale : 0;
}

// `tkhd`, section 8.3.2; 0: none.
std::uint32_t TrackId(const MediaFile& file, const Mp4Box* header) {
  std::optional<Versioned> read = header == nullptr ? std::nullopt : VersionedOf(file, *header);
  if (!read) return 0;
  read->fields.Skip(2 * read->length);
  return read->fields.Read32();
}

// The bytes of all samples are in this file: `dref`, section 8.7.2, has one entry and says so.
bool IsSelfContained(const MediaFile& file, const Boxes& media_information) {
  const std::optional<Boxes> data = BoxesInOnly(file, media_information, "dinf");
  const Mp4Box* const references = data ? Only(*data, "dref") : nullptr;
  if (references == nullptr) return false;
  Fields fields = FieldsOf(file, *references, 64);
  fields.Skip(4);
  const std::uint32_t entries = fields.Read32();
  fields.Skip(8 + 3);  // the entry's header, its version and the upper bits of its flags
  return entries == 1 && (fields.Read(1) & 1) != 0 && fields.ok();
}

// `stsd`, section 8.5.2: the same codec and configuration throughout.
bool HasOneDescription(const MediaFile& file, const Boxes& boxes) {
  const Mp4Box* const descriptions = Only(boxes, "stsd");
  if (descriptions == nullptr) return false;
  const std::optional<Boxes> entries =
      BoxesIn(file, {std::min(descriptions->payload.begin + 8, descriptions->payload.end),
                     descriptions->payload.end});
  Fields fields = FieldsOf(file, *descriptions, 8);
  fields.Skip(4);
  return fields.Read32() == 1 && entries && entries->size() == 1;
}

// `elst`. False: several edits, or one that changes speed.
bool ReadEdit(const MediaFile& file, const Boxes& track, std::uint32_t movie_timescale,
              Mp4Tables* tables) {
  if (!Has(track, "edts")) return true;
  const std::optional<Boxes> edits = BoxesInOnly(file, track, "edts");
  const Mp4Box* const list = edits ? Only(*edits, "elst") : nullptr;
  if (list == nullptr) return edits && edits->empty();
  std::optional<Versioned> read = VersionedOf(file, *list);
  if (!read) return false;
  const std::uint32_t count = read->fields.Read32();
  // Where the count and the box's length disagree, readers disagree as well.
  const std::size_t entry_bytes = 2 * read->length + 4;
  if (!read->fields.ok() || count > 2 || read->fields.left() != count * entry_bytes) return false;
  if (count == 0) return true;
  Mp4Tables::Edit edit;
  for (std::uint32_t i = 0; i < count; ++i) {
    constexpr std::uint32_t kOriginalSpeed = 1 << 16;
    const std::uint64_t movie_ticks = read->fields.Read(read->length);
    edit.media_time = read->length == 8 ? static_cast<std::int64_t>(read->fields.Read(8))
                                        : read->fields.ReadSigned32();
    if (read->fields.Read32() != kOriginalSpeed || !read->fields.ok()) return false;
    // To the nearest tick of the track. Two factors of 31 bits leave the times plausible.
    if (movie_ticks > INT32_MAX) return false;
    const std::uint64_t ticks =
        (movie_ticks * tables->timescale + movie_timescale / 2) / movie_timescale;
    if (ticks > static_cast<std::uint64_t>(kTimeMax)) return false;
    const bool waits = i == 0 && count == 2;
    (waits ? edit.wait : edit.duration) = static_cast<std::int64_t>(ticks);
    if (waits && edit.media_time != -1) return false;
  }
  if (edit.media_time < 0 || edit.media_time > kTimeMax || edit.duration == 0) {
    return false;
  }
  tables->edit = edit;
  return true;
}

// What the tables of all tracks may still describe together: several may point at the same bytes,
// and a size that all samples have in common makes many entries of nothing.
struct Budget {
  std::uint64_t samples = 0, bytes = 0;
};

// `stsz`, section 8.7.3.2.
bool ReadSizes(const MediaFile& file, const Mp4Box& box, Budget* budget, Mp4Tables* tables) {
  Fields head = FieldsOf(file, box, 12);
  head.Skip(4);
  const std::uint32_t common_size = head.Read32();
  const std::uint32_t count = head.Read32();
  if (!head.ok() || count == 0 || count > budget->samples ||
      std::uint64_t{count} * std::max<std::uint32_t>(common_size, 1) > budget->bytes) {
    return false;
  }
  budget->samples -= count;
  if (common_size != 0) {
    tables->sizes.assign(count, common_size);
  } else {
    std::optional<Table> table = TableOf(file, box, 12, 4, count);
    if (!table) return false;
    tables->sizes.resize(count);
    for (std::uint32_t& size : tables->sizes) size = table->entries.Read32();
  }
  for (const std::uint32_t size : tables->sizes) {
    if (size == 0 || size > kAccessUnitBytesMax) return false;
    tables->bytes += size;
  }
  if (tables->bytes > budget->bytes) return false;
  budget->bytes -= tables->bytes;
  return true;
}

// `stco` and `co64`, section 8.7.5.
bool ReadChunks(const MediaFile& file, const Mp4Box& box, Mp4Tables* tables) {
  const std::size_t length = box.type == BoxType("co64") ? 8 : 4;
  std::optional<Table> table = TableOf(file, box, 8, length, tables->sizes.size());
  if (!table) return false;
  tables->chunks.resize(table->count);
  for (std::uint64_t& chunk : tables->chunks) chunk = table->entries.Read(length);
  return true;
}

// `stsc`, section 8.7.4.
bool ReadChunkRuns(const MediaFile& file, const Mp4Box& box, Mp4Tables* tables) {
  std::optional<Table> table = TableOf(file, box, 8, 12, tables->sizes.size());
  if (!table || table->count == 0 || table->count > tables->chunks.size()) return false;
  std::uint64_t samples = 0;
  tables->chunk_runs.reserve(table->count);
  for (std::uint32_t i = 0; i <= table->count; ++i) {
    const bool end = i == table->count;
    const std::uint64_t first_chunk =
        end ? tables->chunks.size() : std::uint64_t{table->entries.Read32()} - 1;
    if (i == 0) {
      if (first_chunk != 0) return false;
    } else {
      const Mp4Tables::ChunkRun& before = tables->chunk_runs.back();
      if (first_chunk <= before.first_chunk || first_chunk > tables->chunks.size()) return false;
      samples += (first_chunk - before.first_chunk) * before.samples_per_chunk;
    }
    if (end || samples >= tables->sizes.size()) break;
    const std::uint32_t samples_per_chunk = table->entries.Read32();
    const std::uint32_t description = table->entries.Read32();
    if (samples_per_chunk == 0 || description != 1) return false;
    tables->chunk_runs.push_back({static_cast<std::uint32_t>(samples),
                                  static_cast<std::uint32_t>(first_chunk), samples_per_chunk});
  }
  return samples == tables->sizes.size() && tables->chunk_runs.size() == table->count;
}

// Every chunk's samples lie within the file.
bool LieWithin(const Mp4Tables& tables, std::uint64_t file_bytes) {
  std::size_t sample = 0;
  for (std::size_t run = 0; run < tables.chunk_runs.size(); ++run) {
    const std::size_t end = run + 1 < tables.chunk_runs.size()
                                ? tables.chunk_runs[run + 1].first_chunk
                                : tables.chunks.size();
    for (std::size_t chunk = tables.chunk_runs[run].first_chunk; chunk < end; ++chunk) {
      std::uint64_t bytes = 0;
      for (std::uint32_t i = 0; i < tables.chunk_runs[run].samples_per_chunk; ++i) {
        bytes += tables.sizes[sample++];
      }
      if (tables.chunks[chunk] > file_bytes || bytes > file_bytes - tables.chunks[chunk]) {
        return false;
      }
    }
  }
  return true;
}

// `stts`, section 8.6.1.2.
bool ReadTimes(const MediaFile& file, const Mp4Box& box, Mp4Tables* tables) {
  std::optional<Table> table = TableOf(file, box, 8, 8, tables->sizes.size());
  if (!table) return false;
  std::uint64_t samples = 0;
  std::int64_t time = 0;
  tables->time_runs.reserve(table->count);
  for (std::uint32_t i = 0; i < table->count; ++i) {
    const std::uint32_t run = table->entries.Read32(), delta = table->entries.Read32();
    if (run == 0 || run > tables->sizes.size() - samples || delta > INT32_MAX) return false;
    tables->time_runs.push_back({static_cast<std::uint32_t>(samples), delta, time});
    samples += run;
    time += std::int64_t{run} * delta;
    if (time > kTimeMax) return false;
  }
  return samples == tables->sizes.size();
}

// `ctts`, section 8.6.1.3. Offsets are signed in either version, as everyone reads them.
bool ReadOffsets(const MediaFile& file, const Mp4Box& box, Mp4Tables* tables) {
  constexpr std::int32_t kOffsetMax = 1 << 28;
  std::optional<Table> table = TableOf(file, box, 8, 8, tables->sizes.size());
  if (!table) return false;
  if (table->count == 0) return true;
  std::uint64_t samples = 0;
  tables->offset_runs.reserve(table->count);
  for (std::uint32_t i = 0; i < table->count; ++i) {
    const std::uint32_t run = table->entries.Read32();
    const std::int32_t offset = table->entries.ReadSigned32();
    if (run == 0 || run > tables->sizes.size() - samples || offset > kOffsetMax ||
        offset < -kOffsetMax) {
      return false;
    }
    tables->offset_runs.push_back({static_cast<std::uint32_t>(samples), offset});
    samples += run;
  }
  return samples == tables->sizes.size();
}

// `stss`, section 8.6.2.
bool ReadKeys(const MediaFile& file, const Mp4Box& box, Mp4Tables* tables) {
  std::optional<Table> table = TableOf(file, box, 8, 4, tables->sizes.size());
  if (!table || table->count == 0) return false;
  tables->all_keys = false;
  tables->keys.reserve(table->count);
  for (std::uint32_t i = 0; i < table->count; ++i) {
    const std::uint32_t key = table->entries.Read32();
    if (key == 0 || key > tables->sizes.size()) return false;
    if (i > 0 && key - 1 <= tables->keys.back()) return false;
    tables->keys.push_back(key - 1);
  }
  return true;
}

// Samples in groups (`sbgp`, section 8.9.2) that make further random access points.
bool HasOtherKeys(const MediaFile& file, const Boxes& boxes) {
  if (Has(boxes, "stps")) return true;
  return std::ranges::any_of(boxes, [&file](const Mp4Box& box) {
    if (box.type != BoxType("sbgp")) return false;
    Fields fields = FieldsOf(file, box, 8);
    fields.Skip(4);
    const std::uint32_t grouping = fields.Read32();
    return grouping == BoxType("rap ") || grouping == BoxType("sync");
  });
}

// Nothing: not understood. `boxes` are those in `stbl`.
std::optional<Mp4Tables> ReadTables(const MediaFile& file, const Boxes& boxes, Budget* budget,
                                    Mp4Tables tables) {
  if (Has(boxes, "stz2") || HasOtherKeys(file, boxes) || !HasOneDescription(file, boxes)) {
    return std::nullopt;
  }
  const Mp4Box* const wide = Only(boxes, "co64");
  const Mp4Box* const chunks = wide == nullptr ? Only(boxes, "stco") : wide;
  if (Has(boxes, "co64") && Has(boxes, "stco")) return std::nullopt;
  const Mp4Box* const sizes = Only(boxes, "stsz");
  const Mp4Box* const chunk_runs = Only(boxes, "stsc");
  const Mp4Box* const times = Only(boxes, "stts");
  for (const Mp4Box* const box : {chunks, sizes, chunk_runs, times}) {
    if (box == nullptr) return std::nullopt;
  }
  if (!ReadSizes(file, *sizes, budget, &tables) || !ReadChunks(file, *chunks, &tables) ||
      !ReadChunkRuns(file, *chunk_runs, &tables) || !LieWithin(tables, file.size()) ||
      !ReadTimes(file, *times, &tables)) {
    return std::nullopt;
  }
  if (Has(boxes, "ctts")) {
    const Mp4Box* const offsets = Only(boxes, "ctts");
    if (offsets == nullptr || !ReadOffsets(file, *offsets, &tables)) return std::nullopt;
  }
  if (Has(boxes, "stss")) {
    const Mp4Box* const keys = Only(boxes, "stss");
    if (keys == nullptr || !ReadKeys(file, *keys, &tables)) return std::nullopt;
  }
  return tables;
}

// `tref`, section 8.3.3: the tracks whose samples are names of chapters. False: damaged.
bool ReadChapterTracks(const MediaFile& file, const Boxes& track, std::vector<std::uint32_t>* ids) {
  if (!Has(track, "tref")) return true;
  const std::optional<Boxes> references = BoxesInOnly(file, track, "tref");
  if (!references) return false;
  for (const Mp4Box& reference : *references) {
    if (reference.type != BoxType("chap")) continue;
    Fields fields = FieldsOf(file, reference, 4 * kTracksMax);
    while (fields.left() >= 4) ids->push_back(fields.Read32());
  }
  return true;
}

// Nothing: what is wrong with it has a say in other tracks as well.
std::optional<Mp4Track> ReadTrack(const MediaFile& file, const Mp4Box& box,
                                  std::uint32_t movie_timescale, Budget* budget,
                                  std::vector<std::uint32_t>* chapter_tracks) {
  const std::optional<Boxes> boxes = BoxesIn(file, box.payload);
  if (!boxes) return std::nullopt;
  const std::optional<Boxes> media = BoxesInOnly(file, *boxes, "mdia");
  const std::optional<Boxes> information = media ? BoxesInOnly(file, *media, "minf") : std::nullopt;
  const std::optional<Boxes> table_boxes =
      information ? BoxesInOnly(file, *information, "stbl") : std::nullopt;
  Mp4Track track{.id = TrackId(file, Only(*boxes, "tkhd"))};
  if (!table_boxes || track.id == 0) return std::nullopt;
  // Without any times in one track, libavformat heeds no edit lists.
  const Mp4Box* const times = Only(*table_boxes, "stts");
  Fields times_head = times == nullptr ? Fields({}) : FieldsOf(file, *times, 8);
  times_head.Skip(4);
  if (times_head.Read32() == 0) return std::nullopt;
  if (!ReadChapterTracks(file, *boxes, chapter_tracks)) return std::nullopt;
  Mp4Tables tables;
  tables.timescale = TimescaleOf(file, Only(*media, "mdhd"));
  if (tables.timescale == 0 || !IsSelfContained(file, *information) ||
      !ReadEdit(file, *boxes, movie_timescale, &tables)) {
    return track;
  }
  track.tables = ReadTables(file, *table_boxes, budget, std::move(tables));
  if (!track.tables) return track;
  constexpr std::array<std::string_view, 6> kHidden = {"stsz", "stco", "co64",
                                                       "stsc", "ctts", "stss"};
  for (const Mp4Box& table : *table_boxes) {
    if (std::ranges::any_of(kHidden, [&](auto type) { return BoxType(type) == table.type; })) {
      track.boxes.push_back(table.at);
    }
  }
  return track;
}

}  // namespace

std::optional<std::vector<Mp4Track>> ReadMp4Tables(const MediaFile& file, const Mp4Layout& layout) {
  if (layout.movies.size() != 1 || layout.movies[0].cut || layout.fragments > 0 ||
      !layout.segment_indexes.empty()) {
    return std::nullopt;
  }
  const std::optional<Boxes> boxes = BoxesIn(file, layout.movies[0].payload);
  if (!boxes || Has(*boxes, "mvex")) return std::nullopt;
  const Mp4Box* const header = Only(*boxes, "mvhd");
  const std::uint32_t timescale = TimescaleOf(file, header);
  if (timescale == 0) return std::nullopt;
  // libavformat reads a track's edit list with what it knows of the movie by then.
  const auto first_track = std::ranges::find(*boxes, BoxType("trak"), &Mp4Box::type);
  if (first_track != boxes->end() && first_track->at < header->at) return std::nullopt;
  Budget budget{.samples = kIndexedUnitsMax, .bytes = file.size()};
  std::vector<Mp4Track> tracks;
  std::vector<std::uint32_t> chapter_tracks;
  for (const Mp4Box& box : *boxes) {
    if (box.type != BoxType("trak")) continue;
    std::optional<Mp4Track> track = ReadTrack(file, box, timescale, &budget, &chapter_tracks);
    if (!track || tracks.size() >= kTracksMax ||
        std::ranges::find(tracks, track->id, &Mp4Track::id) != tracks.end()) {
      return std::nullopt;
    }
    tracks.push_back(*std::move(track));
  }
  // libavformat reads their samples when it opens the file.
  for (const std::uint32_t id : chapter_tracks) {
    const auto track = std::ranges::find(tracks, id, &Mp4Track::id);
    if (track != tracks.end()) *track = {.id = id};
  }
  return tracks;
}

}  // namespace millrace
