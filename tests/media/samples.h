// Small media files, made once per test program with the ffmpeg command line, and what ffprobe says
// of them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "media/demuxer.h"
#include "media/ffmpeg_demuxer.h"
#include "media/mp3_adu.h"
#include "tests/media/hand_made.h"

namespace millrace {

inline const std::string& SampleFolder() {
  static const std::string folder = [] {
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    const auto path = program.parent_path() / "media_samples";
    std::filesystem::create_directories(path);
    return path.string();
  }();
  return folder;
}

inline bool HasFfmpeg() {
  static const bool has =
      std::system("ffmpeg -version >/dev/null 2>&1 && ffprobe -version >/dev/null 2>&1") == 0;
  return has;
}

inline std::string Output(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
  pclose(pipe);
  return output;
}

struct Recipe {
  std::string source;     // another sample's name, copied; or empty: generated
  std::string arguments;  // behind the inputs
  std::string input_arguments = "";
};

// The path of a file that is written byte by byte; empty when there is none of that name.
inline std::string HandMadeSample(const std::string& name) {
  const std::vector<std::uint8_t> bytes = HandMade(name);
  if (bytes.empty()) return "";
  const std::string path = SampleFolder() + "/" + name;
  const std::string unfinished = SampleFolder() + "/" + std::to_string(getpid()) + "." + name;
  std::ofstream(unfinished, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  std::filesystem::rename(unfinished, path);
  return path;
}

inline const std::map<std::string, Recipe>& Recipes() {
  static const std::string kX264 = "-c:v libx264 -preset veryfast -g 25 ";
  static const std::string kX265 =
      "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:bframes=4:";
  static const std::string kAac = "-c:a aac -b:a 48k ";
  static const std::string kVp8 = "-c:v libvpx -deadline realtime -cpu-used 8 -g 25 ";
  static const std::string kVp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 ";
  static const std::string kMpeg4 = "-c:v mpeg4 -g 12 -bf 2 ";
  static const std::string kMpeg2 = "-c:v mpeg2video -g 12 -bf 2 ";
  static const std::string kTheora = "-c:v libtheora -g 25 ";
  static const std::string kMp3 = "-c:a libmp3lame -b:a 64k ";
  static const std::string kText =
      "-i '" + HandMadeSample("cues.srt") + "' -map 1:s -map 0:v -c:v copy ";
  static const std::string kOutlasting =
      "-i '" + HandMadeSample("outlasting.srt") + "' -map 1:s -map 0:v -c:v copy ";
  static const std::map<std::string, Recipe> recipes = {
      {"plain.mp4", {"", kX264 + "-bf 3 " + kAac}},
      {"fast.mp4", {"plain.mp4", "-c copy -movflags +faststart"}},
      {"opengop.mp4", {"", kX264 + "-bf 3 -x264-params open-gop=1 " + kAac}},
      {"vfr.mp4", {"", "-vf \"select='not(mod(n,7))+gt(mod(n,5),2)'\" -vsync vfr " + kX264 + kAac}},
      {"edit.mp4", {"plain.mp4", "-c copy", "-ss 1.3"}},
      {"frag.mp4", {"plain.mp4", "-c copy -movflags frag_keyframe+empty_moov"}},
      {"dash.mp4", {"plain.mp4", "-c copy -movflags dash+delay_moov -frag_duration 700000"}},
      {"late.mp4", {"plain.mp4", "-c copy -output_ts_offset 7"}},
      {"intra.mov", {"", "-c:v libx264 -g 1 " + kAac}},
      {"audio.m4a", {"plain.mp4", "-c copy -vn"}},
      {"video.mp4", {"plain.mp4", "-c copy -an"}},
      {"hevc.mp4", {"", kX265 + "open-gop=1 -tag:v hvc1 " + kAac}},
      {"hev1.mp4", {"", kX265 + "open-gop=0 -tag:v hev1 " + kAac}},
      // What MP4 files differ in.
      {"unedited.mp4", {"plain.mp4", "-c copy -use_editlist 0"}},
      {"nobframes.mp4", {"", kX264 + "-bf 0 " + kAac}},
      {"negative.mp4", {"plain.mp4", "-c copy -movflags negative_cts_offsets"}},
      {"negative.mov", {"plain.mp4", "-c copy -movflags negative_cts_offsets -use_editlist 0"}},
      {"bframes.mov", {"plain.mp4", "-c copy"}},
      {"tagged.mp4",
       {"plain.mp4",
        "-c copy -metadata title=tagged -metadata:s:a:0 language=ger -movie_timescale 90000"}},
      {"coarse.mp4", {"plain.mp4", "-c copy -video_track_timescale 1000"}},
      {"opus.mp4", {"", kX264 + "-bf 2 -c:a libopus"}},
      {"vp9.mp4", {"", "-an " + kVp9}},
      {"latesound.mp4", {"plain.mp4", "-c copy -bsf:a setts=ts=TS+44100"}},
      {"twosounds.mp4", {"", "-map 0:v -map 1:a -map 1:a " + kX264 + kAac}},
      {"ac3.mp4", {"", kX264 + "-c:a ac3 -ar 48000"}},
      {"part2_aac.mp4", {"", kMpeg4 + kAac}},
      {"timecode.mov", {"", "-timecode 01:00:00:00 " + kX264 + kAac}},
      {"chapters.mp4",
       {"plain.mp4", "-i '" + HandMadeSample("chapters.txt") + "' -map_chapters 1 -c copy"}},
      {"plain.mkv", {"plain.mp4", "-c copy"}},
      {"hevc.mkv", {"hevc.mp4", "-c copy"}},
      {"opengop.mkv", {"opengop.mp4", "-c copy"}},
      {"late.mkv", {"plain.mp4", "-c copy -output_ts_offset 7"}},
      {"live.mkv", {"plain.mp4", "-c copy -live 1"}},
      {"plain.ts", {"plain.mp4", "-c copy"}},
      {"delay.ts", {"plain.mp4", "-c copy -muxdelay 0.9 -muxpreload 0.9"}},
      {"hevc.ts", {"hevc.mp4", "-c copy"}},
      {"opengop.ts", {"opengop.mp4", "-c copy"}},
      {"disc.m2ts", {"plain.mp4", "-c copy -mpegts_m2ts_mode 1"}},
      {"audio.ts", {"plain.mp4", "-c copy -vn"}},
      {"raw.h264", {"plain.mp4", "-c copy -an -bsf:v h264_mp4toannexb"}},
      {"opengop.264", {"opengop.mp4", "-c copy -an -bsf:v h264_mp4toannexb"}},
      {"raw.h265", {"hevc.mp4", "-c copy -an -bsf:v hevc_mp4toannexb"}},
      {"sound.aac", {"plain.mp4", "-c copy -vn"}},
      {"latm.ts", {"audio.m4a", "-c copy -mpegts_flags latm"}},
      {"bare.loas", {"audio.m4a", "-c copy -f latm"}},
      {"told_once.loas", {"audio.m4a", "-c copy -f latm -smc-interval 65535"}},
      // Long enough that seeking leaves the start behind.
      {"long.mp4", {"plain.mp4", "-c copy", "-stream_loop 4"}},
      {"longfrag.mp4", {"long.mp4", "-c copy -movflags frag_keyframe+empty_moov"}},
      {"long.mkv", {"long.mp4", "-c copy"}},
      {"long.ts", {"long.mp4", "-c copy"}},
      {"nocues.mkv", {"long.mp4", "-c copy -live 1 -cluster_time_limit 900"}},
      {"skewed.mkv", {"long.mp4", "-c copy -bsf:a setts=ts=TS+396900"}},  // audio lies 6 min ahead
      {"lateaudio.mkv", {"long.mp4", "-c copy -bsf:a setts=ts=TS+9000"}},
      {"lateaudio.ts", {"long.mp4", "-c copy -bsf:a setts=ts=TS+810000"}},
      {"latevideo.ts", {"long.mp4", "-c copy -bsf:v setts=ts=TS+810000"}},
      {"endingaudio.mkv", {"long.mp4", "-c copy -bsf:a noise=amount=0:drop='gt(n\\,258)'"}},
      {"endingaudio.ts", {"long.mp4", "-c copy -bsf:a noise=amount=0:drop='gt(n\\,258)'"}},
      {"mixed.mkv",
       {"",
        "-map 0:v -map 1:a -map 1:a -map 0:v -c:v:0 libx264 -c:a:0 aac -c:a:1 flac -c:v:1 ffv1"}},
      {"nothing.mkv", {"", "-an -c:v ffv1"}},
      // Formats beside H.264, H.265 and AAC.
      {"vorbis.webm", {"", kVp8 + "-c:a libvorbis"}},
      {"opus.webm", {"", kVp9 + "-c:a libopus"}},
      {"av1.mp4", {"", "-an -c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 100k -g 30"}},
      {"av1.mkv", {"av1.mp4", "-c copy"}},
      {"part2.mp4", {"", kMpeg4 + kMp3}},
      {"part2.mkv", {"part2.mp4", "-c copy"}},
      {"mpeg2.ts", {"", kMpeg2 + "-c:a mp2"}},
      {"mpeg2.mkv", {"", kMpeg2 + "-c:a ac3 -ar 48000"}},
      {"mpeg1.mpg", {"", "-c:v mpeg1video -g 12 -bf 2 -c:a mp2"}},
      {"mpeg2.mpg", {"", kMpeg2 + "-c:a mp2"}},
      {"disc.vob", {"", kMpeg2 + "-c:a ac3 -ar 48000 -f vob"}},
      {"long.vob", {"disc.vob", "-c copy -f vob", "-stream_loop 4"}},
      {"part2.avi", {"", kMpeg4 + kMp3}},
      {"part2_ac3.avi", {"", kMpeg4 + "-vtag xvid -c:a ac3 -ar 48000"}},
      {"jpeg.avi", {"", "-c:v mjpeg -huffman default -pix_fmt yuvj420p -c:a pcm_s16le"}},
      {"h264.avi", {"", kX264 + "-bf 3 " + kAac}},
      {"raw.m4e", {"", "-an -f m4v " + kMpeg4}},
      {"raw.m2v", {"", "-an -f mpeg2video " + kMpeg2}},
      {"raw.m1v", {"", "-an -f mpeg1video -c:v mpeg1video -g 12 -bf 2"}},
      {"raw.mjpeg", {"", "-an -f mjpeg -huffman default -pix_fmt yuvj420p"}},
      {"part2.asf", {"", kMpeg4 + kMp3}},
      {"h264_pcm.asf", {"", kX264 + "-bf 3 -c:a pcm_s16le"}},
      {"windows.asf", {"", "-c:v wmv2 " + kMp3}},
      {"long.asf", {"part2.asf", "-c copy", "-stream_loop 4"}},
      {"plain.flv", {"plain.mp4", "-c copy"}},
      {"mp3.flv", {"", kX264 + kMp3}},
      {"late.flv", {"plain.flv", "-c copy -output_ts_offset 1000"}},
      {"opus.ogg", {"", "-vn -c:a libopus"}},
      {"vorbis.ogg", {"", "-vn -c:a libvorbis"}},
      {"sound.mp3", {"", "-vn " + kMp3}},
      {"sound.ac3", {"", "-vn -c:a ac3"}},
      {"sound.wav", {"", "-vn -c:a pcm_s16le -metadata title=sine"}},
      {"sound.aiff", {"", "-vn -c:a pcm_s24be"}},
      {"sound.au", {"", "-vn -ar 8000 -c:a pcm_mulaw"}},
      {"sound.flac", {"", "-vn"}},
      {"tagged.mp3", {"", "-vn -metadata title=tagged " + kMp3}},
      {"tagged.mkv", {"plain.mp4", "-c copy -metadata title=tagged -metadata:s:a:0 language=ger"}},
      {"pcm.mov", {"", kX264 + "-c:a pcm_s16be"}},
      {"sound.eac3", {"", "-vn -c:a eac3"}},
      {"eac3.mp4", {"", kX264 + "-c:a eac3"}},
      {"eac3.mkv", {"eac3.mp4", "-c copy"}},
      {"eac3.ts", {"eac3.mp4", "-c copy"}},
      {"substreams.ts", {"substreams.ec3", "-c copy"}},
      {"amr.3gp", {"speech.amr", "-c copy"}},
      {"amr_wb.3gp", {"speech.awb", "-c copy"}},
      {"amr.mkv", {"speech.amr", "-c copy"}},
      {"video.ts", {"video.mp4", "-c copy"}},
      {"text.mp4", {"video.mp4", kOutlasting + "-c:s mov_text -metadata:s:s:0 language=fre"}},
      {"subrip.mkv", {"video.mp4", kText + "-c:s srt"}},
      {"webvtt.mkv", {"video.mp4", kText + "-c:s webvtt"}},
      {"advanced.mkv", {"video.mp4", kText + "-c:s ass"}},
      {"g722.wav", {"", "-vn -ar 16000 -c:a g722"}},
      {"g722.mka", {"", "-vn -ar 16000 -c:a g722"}},
      {"g726.wav", {"", "-vn -ar 8000 -c:a g726 -b:a 32k"}},
      {"g726_24.wav", {"", "-vn -ar 8000 -c:a g726 -b:a 24k"}},
      {"g726.mkv", {"", kX264 + "-ar 8000 -c:a g726 -b:a 40k"}},
      {"speex.ogg", {"", "-vn -ar 16000 -c:a libspeex"}},
      {"speex_3.ogg", {"", "-vn -ar 8000 -c:a libspeex -frames_per_packet 3"}},
      // Groups of blocks with start codes, and none.
      {"h263.3gp", {"", "-vf scale=176:144 -c:v h263 -ps 200 -g 25 " + kAac}},
      {"h263p.mov", {"", "-an -c:v h263p -g 25"}},
      {"h263.mkv", {"h263.3gp", "-c copy"}},
      {"sound.dv", {"", "-vf scale=720:480 -pix_fmt yuv411p -ar 48000 -ac 2"}},
      {"dv.mov", {"sound.dv", "-map 0:v -c copy -write_tmcd 0"}},
      {"short.dv", {"sound.dv", "-c copy -frames:v 6 -shortest"}},
      {"shortdv.mov", {"sound.dv", "-map 0:v -c copy -frames:v 6"}},
      {"dv.mkv", {"sound.dv", "-map 0:v -c copy"}},
      {"dv50.mov", {"", "-an -vf scale=720:576 -r 25 -pix_fmt yuv422p -c:v dvvideo"}},
      {"j2k.mov", {"", "-an -c:v jpeg2000 -format j2k -tile_width 64 -tile_height 64"}},
      {"j2k.mkv", {"j2k.mov", "-c copy"}},
      {"jp2.mov", {"", "-an -c:v jpeg2000 -pix_fmt yuv420p"}},
      {"theora.ogv", {"", kTheora + "-c:a libvorbis"}},
      {"theora.mkv", {"theora.ogv", "-c copy"}},
      {"longtheora.ogv", {"theora.ogv", "-c copy", "-stream_loop 4"}},
      // Frames that need many pages of Ogg, and many that share one.
      {"bigtheora.ogv",
       {"longtheora.ogv",
        "-vf scale=320:240,noise=alls=60 -c:v libtheora -q:v 10 -g 12 -c:a copy"}},
      {"smalltheora.ogv",
       {"longtheora.ogv", "-c:v libtheora -b:v 20k -g 64 -c:a copy -page_duration 10000000"}},
  };
  return recipes;
}

// What was written to just now seems to be growing.
inline void MakeOld(const std::string& path) {
  const auto hour_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  std::filesystem::last_write_time(path, hour_ago);
}

inline std::string Sample(const std::string& name);
inline std::vector<std::uint8_t> ReadWhole(const std::string& path);

// ffmpeg does not say of metadata in a transport stream that it is some.
inline std::string KlvSample(const std::string& name) {
  const std::string source = Sample("video.ts");
  if (source.empty()) return "";
  const std::vector<std::uint8_t> bytes = WithKlv(ReadWhole(source), name == "klv.ts");
  const std::string path = SampleFolder() + "/" + name;
  const std::string unfinished = SampleFolder() + "/" + std::to_string(getpid()) + "." + name;
  std::ofstream(unfinished, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  MakeOld(unfinished);
  std::filesystem::rename(unfinished, path);
  return path;
}

// The path of a sample, made now if need be; empty when that fails.
inline std::string Sample(const std::string& name) {
  const auto recipe = Recipes().find(name);
  if (const std::string path = HandMadeSample(name); !path.empty()) return path;
  if (name == "klv.ts" || name == "klv_async.ts") return KlvSample(name);
  if (recipe == Recipes().end()) return "";
  std::string inputs =
      "-f lavfi -i testsrc=s=160x120:r=30000/1001:d=5 -f lavfi -i sine=f=440:d=5:r=44100";
  if (!recipe->second.source.empty()) {
    const std::string source = Sample(recipe->second.source);
    if (source.empty()) return "";
    inputs = recipe->second.input_arguments + " -i '" + source + "'";
  }
  const std::string raw = name.ends_with(".264") ? " -f h264" : "";
  const std::string command =
      "ffmpeg -v error -nostdin -y " + inputs + " " + recipe->second.arguments + raw;
  // A changed recipe makes a new file; one that is being made by another process is not seen.
  const std::string folder =
      SampleFolder() + "/" + std::to_string(std::hash<std::string>{}(command));
  const std::string path = folder + "/" + name;
  if (std::filesystem::exists(path)) return path;
  std::filesystem::create_directories(folder);
  const std::string unfinished = folder + "/" + std::to_string(getpid()) + "." + name;
  const std::string said = Output(command + " '" + unfinished + "' 2>&1");
  std::error_code error;
  if (std::filesystem::file_size(unfinished, error) == 0 || error) {
    ADD_FAILURE() << command << "\n" << said;
    return "";
  }
  MakeOld(unfinished);
  std::filesystem::rename(unfinished, path, error);
  return error ? "" : path;
}

inline std::vector<std::uint8_t> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline absl::StatusOr<std::unique_ptr<Demuxer>> OpenDescriptor(int fd, const std::string& name,
                                                               AssetView view) {
  auto demuxer = OpenFfmpegDemuxer(fd, name, view);
  if (!demuxer.ok() || view != AssetView::kRobustAudio) return demuxer;
  return WithMp3Adus(*std::move(demuxer));
}

inline absl::StatusOr<std::unique_ptr<Demuxer>> OpenPath(const std::string& path,
                                                         AssetView view = AssetView::kTracks) {
  return OpenDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC), path, view);
}

// Opens bytes as if they were a file of that name.
inline absl::StatusOr<std::unique_ptr<Demuxer>> OpenBytes(const std::vector<std::uint8_t>& bytes,
                                                          const std::string& name,
                                                          AssetView view = AssetView::kTracks) {
  const int fd = memfd_create("sample", MFD_CLOEXEC);
  if (fd < 0 || write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    if (fd >= 0) close(fd);
    return absl::InternalError("memfd");
  }
  constexpr timespec kLongAgo[2] = {{1, 0}, {1, 0}};
  futimens(fd, kLongAgo);
  return OpenDescriptor(fd, name, view);
}

inline std::uint32_t Adler32(std::span<const std::uint8_t> bytes, std::uint32_t start) {
  std::uint32_t a = start & 0xffff, b = start >> 16;
  for (const std::uint8_t byte : bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

// A unit as it is compared: everything but where its bytes lie.
struct SeenUnit {
  std::int64_t pts = 0, dts = 0, duration = 0;
  bool random_access = false;
  std::size_t size = 0;
  std::uint32_t hash = 0;
  friend bool operator==(const SeenUnit&, const SeenUnit&) = default;
  friend void PrintTo(const SeenUnit& unit, std::ostream* out) {
    *out << "{pts " << unit.pts << " dts " << unit.dts << " duration " << unit.duration
         << (unit.random_access ? " key " : " ") << unit.size << " bytes}";
  }
};

inline SeenUnit See(const AccessUnit& unit) {
  // ffmpeg's adler32 starts from 1, as zlib's.
  return {unit.pts,           unit.dts,         unit.duration,
          unit.random_access, unit.data.size(), Adler32(unit.data, 1)};
}

using SeenTracks = std::vector<std::vector<SeenUnit>>;  // by track

// Everything from where the demuxer stands to the end.
inline SeenTracks ReadAll(Demuxer* demuxer) {
  SeenTracks tracks(demuxer->info().tracks.size());
  AccessUnit unit;
  for (int i = 0; i < 100000; ++i) {
    const absl::StatusOr<bool> more = demuxer->Next(&unit);
    if (!more.ok()) ADD_FAILURE() << more.status();
    if (!more.value_or(false)) return tracks;
    tracks.at(unit.track).push_back(See(unit));
  }
  ADD_FAILURE() << "no end";
  return tracks;
}

// What ffprobe says of a file's packets and streams.
struct ProbedPacket {
  std::optional<std::int64_t> pts, dts;
  bool key = false;
  std::size_t size = 0;
  std::uint32_t hash = 0;
};
struct ProbedStream {
  std::int64_t base_numerator = 1, base_denominator = 1;
  std::string type;
  int width = 0, height = 0;
  std::vector<ProbedPacket> packets;
};

inline std::map<std::string, std::string> Fields(const std::string& line) {
  std::map<std::string, std::string> fields;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find('|', at), line.size());
    const std::string field = line.substr(at, end - at);
    if (const std::size_t equals = field.find('='); equals != field.npos) {
      fields[field.substr(0, equals)] = field.substr(equals + 1);
    }
    at = end + 1;
  }
  return fields;
}

inline std::map<int, ProbedStream> Probe(const std::string& path) {
  std::string output = Output(
      "ffprobe -v error -show_data_hash adler32 -of compact -show_entries "
      "packet=stream_index,pts,dts,size,flags,data_hash:"
      "stream=index,codec_type,time_base,width,height '" +
      path + "' 2>/dev/null");
  // Side data breaks a packet's line in two.
  const std::string break_in_line = "side_data|\n|";
  for (std::size_t at; (at = output.find(break_in_line)) != output.npos;) {
    output.erase(at, break_in_line.size());
  }
  std::map<int, ProbedStream> streams;
  const auto number = [](const std::string& text) -> std::optional<std::int64_t> {
    if (text.empty() || text == "N/A") return std::nullopt;
    return std::stoll(text);
  };
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = std::min(output.find('\n', at), output.size());
    const std::string line = output.substr(at, end - at);
    at = end + 1;
    auto fields = Fields(line);
    if (line.starts_with("packet|")) {
      ProbedPacket packet;
      packet.pts = number(fields["pts"]);
      packet.dts = number(fields["dts"]);
      packet.key = fields["flags"].find('K') != std::string::npos;
      packet.size = std::stoul(fields["size"]);
      const std::string hash = fields["data_hash"];
      packet.hash =
          static_cast<std::uint32_t>(std::stoul(hash.substr(hash.find(':') + 1), nullptr, 16));
      streams[std::stoi(fields["stream_index"])].packets.push_back(packet);
    } else if (line.starts_with("stream|")) {
      ProbedStream& stream = streams[std::stoi(fields["index"])];
      const std::string base = fields["time_base"];
      stream.base_numerator = std::stoll(base);
      stream.base_denominator = std::stoll(base.substr(base.find('/') + 1));
      stream.type = fields["codec_type"];
      if (stream.type == "video") {
        stream.width = std::stoi(fields["width"]);
        stream.height = std::stoi(fields["height"]);
      }
    }
  }
  return streams;
}

}  // namespace millrace
