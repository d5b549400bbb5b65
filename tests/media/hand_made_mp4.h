// An MP4 of H.266, which no encoder here makes. What its pictures show is noise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

class BoxWriter {
 public:
  using Data = std::vector<std::uint8_t>;

  BoxWriter& Number(std::uint64_t value, int bytes) {
    while (bytes-- > 0) data_.push_back(static_cast<std::uint8_t>(value >> (8 * bytes)));
    return *this;
  }
  BoxWriter& Text(const std::string& text) { return Add({text.begin(), text.end()}); }
  BoxWriter& Zeros(std::size_t count) { return Add(Data(count)); }
  BoxWriter& Add(const Data& bytes) {
    data_.insert(data_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Data Box(const std::string& type) const {
    BoxWriter box;
    return box.Number(8 + data_.size(), 4).Text(type).Add(data_).data_;
  }
  const Data& data() const { return data_; }

 private:
  Data data_;
};

// A NAL unit of the base layer.
inline std::vector<std::uint8_t> H266Nal(int type, std::size_t bytes, std::uint8_t fill) {
  std::vector<std::uint8_t> nal(bytes, static_cast<std::uint8_t>(fill | 1));
  nal[0] = 0;
  nal[1] = static_cast<std::uint8_t>(type << 3 | 1);
  return nal;
}

// VvcDecoderConfigurationRecord, ISO 14496-15 section 11.2.4.2, with lengths of four bytes.
// `profile`: with all that it may tell; `sets`: with the parameter sets.
inline std::vector<std::uint8_t> H266Record(bool profile, bool sets) {
  BoxWriter record;
  record.Number(0xf8 | 3 << 1 | (profile ? 1 : 0), 1);
  if (profile) {
    record.Number(3 << 4 | 1, 2);                  // three sub-layers
    record.Number(2 << 5 | 0x1f, 1).Number(2, 1);  // bit depth; two bytes of constraints
    record.Number(1 << 1, 1).Number(51, 1).Number(0xc000, 2);
    record.Number(0xc0, 1).Number(32, 1).Number(48, 1);  // two sub-layers' levels
    record.Number(1, 1).Number(0x12345678, 4);           // a sub-profile
    record.Number(320, 2).Number(240, 2).Number(25, 2);
  }
  const std::vector<std::vector<std::uint8_t>> units = {
      H266Nal(13, 9, 0x40), H266Nal(14, 12, 0x20), H266Nal(15, 40, 0x30), H266Nal(16, 8, 0x50)};
  record.Number(sets ? units.size() : 0, 1);
  for (std::size_t i = 0; sets && i < units.size(); ++i) {
    const int type = 13 + static_cast<int>(i);
    record.Number(0x80u | static_cast<unsigned>(type), 1);
    if (type != 13) record.Number(1, 2);  // of the decoding capability there is one
    record.Number(units[i].size(), 2).Add(units[i]);
  }
  return record.data();
}

// Five seconds of 25 pictures, every 25th an IDR. `in_band`: parameter sets in the samples alone,
// in front of each IDR.
inline std::vector<std::uint8_t> HandMadeH266(bool in_band) {
  constexpr std::uint32_t kPictures = 125, kTicks = 512, kScale = 12800;
  std::vector<std::vector<std::uint8_t>> samples;
  for (std::uint32_t i = 0; i < kPictures; ++i) {
    BoxWriter sample;
    const auto fill = static_cast<std::uint8_t>(i);
    const bool key = i % 25 == 0;
    for (int type = 14; in_band && key && type <= 16; ++type) {
      const auto set = H266Nal(type, 8 + static_cast<std::size_t>(type), 0x60);
      sample.Number(set.size(), 4).Add(set);
    }
    for (int slice = 0; slice < 2; ++slice) {
      const auto nal = H266Nal(key ? 8 : 0, (key ? 3000 : 200) + i * 7 % 90, fill);
      sample.Number(nal.size(), 4).Add(nal);
    }
    samples.push_back(sample.data());
  }
  BoxWriter media, sizes, keys;
  sizes.Zeros(8).Number(kPictures, 4);
  keys.Zeros(4).Number(kPictures / 25, 4);
  for (std::uint32_t i = 0; i < kPictures; ++i) {
    media.Add(samples[i]);
    sizes.Number(samples[i].size(), 4);
    if (i % 25 == 0) keys.Number(i + 1, 4);
  }
  const auto start = BoxWriter().Text("isom").Zeros(4).Text("isom").Box("ftyp");
  const auto configuration = BoxWriter().Zeros(4).Add(H266Record(true, !in_band)).Box("vvcC");
  const auto entry = BoxWriter()
                         .Zeros(6)
                         .Number(1, 2)
                         .Zeros(16)
                         .Number(320, 2)
                         .Number(240, 2)
                         .Zeros(50)
                         .Add(configuration)
                         .Box(in_band ? "vvi1" : "vvc1");
  const auto table =
      BoxWriter()
          .Add(BoxWriter().Zeros(4).Number(1, 4).Add(entry).Box("stsd"))
          .Add(BoxWriter().Zeros(4).Number(1, 4).Number(kPictures, 4).Number(kTicks, 4).Box("stts"))
          .Add(keys.Box("stss"))
          .Add(BoxWriter()
                   .Zeros(4)
                   .Number(1, 4)
                   .Number(1, 4)
                   .Number(kPictures, 4)
                   .Number(1, 4)
                   .Box("stsc"))
          .Add(sizes.Box("stsz"))
          .Add(BoxWriter().Zeros(4).Number(1, 4).Number(start.size() + 8, 4).Box("stco"))
          .Box("stbl");
  const auto where = BoxWriter()
                         .Add(BoxWriter()
                                  .Zeros(4)
                                  .Number(1, 4)
                                  .Add(BoxWriter().Number(1, 4).Box("url "))
                                  .Box("dref"))
                         .Box("dinf");
  const auto kind = BoxWriter()
                        .Add(BoxWriter()
                                 .Zeros(12)
                                 .Number(kScale, 4)
                                 .Number(kPictures * kTicks, 4)
                                 .Number(0x55c4, 2)
                                 .Zeros(2)
                                 .Box("mdhd"))
                        .Add(BoxWriter().Zeros(8).Text("vide").Zeros(13).Box("hdlr"))
                        .Add(BoxWriter()
                                 .Add(BoxWriter().Number(1, 4).Zeros(8).Box("vmhd"))
                                 .Add(where)
                                 .Add(table)
                                 .Box("minf"))
                        .Box("mdia");
  const auto track = BoxWriter()
                         .Add(BoxWriter()
                                  .Number(3, 4)
                                  .Zeros(8)
                                  .Number(7, 4)
                                  .Zeros(4)
                                  .Number(5000, 4)
                                  .Zeros(52)
                                  .Number(320 << 16, 4)
                                  .Number(240 << 16, 4)
                                  .Box("tkhd"))
                         .Add(kind)
                         .Box("trak");
  const auto movie =
      BoxWriter()
          .Add(BoxWriter().Zeros(12).Number(1000, 4).Number(5000, 4).Zeros(76).Number(8, 4).Box(
              "mvhd"))
          .Add(track)
          .Box("moov");
  return BoxWriter().Add(start).Add(media.Box("mdat")).Add(movie).data();
}

}  // namespace millrace
