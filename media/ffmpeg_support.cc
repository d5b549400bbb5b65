#include "media/ffmpeg_support.h"

extern "C" {
#include <libavutil/log.h>
}

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace millrace {
namespace {

// Nothing but these is ever parsed beyond its probe; playlists and protocols are not among them.
constexpr char kFormats[] =
    "mov,matroska,flv,ogg,asf,mpegts,mpeg,wav,w64,aiff,au,h264,hevc,m4v,mpegvideo,aac,loas,mp3,ac3,"
    "eac3,amr,dv";
constexpr int kAvioBytes = 64 << 10;

// libav's last complaint, for the status instead of the terminal.
thread_local std::string last_log_line;

void KeepLogLine(void* /*source*/, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  std::array<char, 256> line;
  const int size = vsnprintf(line.data(), line.size(), format, arguments);
  if (size <= 0) return;
  const auto kept = std::min(static_cast<std::size_t>(size), line.size() - 1);
  const absl::string_view text = absl::StripAsciiWhitespace(absl::string_view(line.data(), kept));
  if (!text.empty()) last_log_line.assign(text.data(), text.size());
}

std::string ErrorText(int error) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(error, text.data(), text.size());
  return last_log_line.empty() ? std::string(text.data())
                               : absl::StrCat(text.data(), " (", last_log_line, ")");
}

int ReadSource(void* opaque, std::uint8_t* out, int size) {
  std::size_t count = 0;
  switch (static_cast<ByteSource*>(opaque)->Read({out, static_cast<std::size_t>(size)}, &count)) {
    case ByteSource::Outcome::kRead:
      return static_cast<int>(count);
    case ByteSource::Outcome::kEnd:
      return AVERROR_EOF;
    case ByteSource::Outcome::kBudgetSpent:
      return AVERROR_EXIT;
    case ByteSource::Outcome::kFailed:
      break;
  }
  return AVERROR(EIO);
}

std::int64_t SeekSource(void* opaque, std::int64_t offset, int whence) {
  auto& source = *static_cast<ByteSource*>(opaque);
  if ((whence & AVSEEK_SIZE) != 0) return static_cast<std::int64_t>(source.size());
  const int from = whence & ~AVSEEK_FORCE;
  if (from == SEEK_CUR) offset += static_cast<std::int64_t>(source.position());
  if (from == SEEK_END) offset += static_cast<std::int64_t>(source.size());
  if (offset < 0) return AVERROR(EINVAL);
  source.MoveTo(static_cast<std::uint64_t>(offset));
  return offset;
}

int RefuseToOpen(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EACCES);
}

}  // namespace

void KeepComplaints() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(KeepLogLine); });
}

const std::string& LastComplaint() { return last_log_line; }

absl::Status FailureOf(const ByteSource& source, int error, std::string_view doing) {
  if (!source.status().ok()) return source.status();
  if (absl::StartsWith(last_log_line, "Format not on whitelist")) {
    return absl::InvalidArgumentError(
        "a kind of file that is not served; a copy that is: ffmpeg -i FILE COPY.mkv with -c:v "
        "libx264 for its video and -c:a aac for its sound");
  }
  const std::string text = absl::StrCat(std::string(doing), ": ", ErrorText(error));
  if (error == AVERROR(ENOMEM)) return absl::ResourceExhaustedError(text);
  return absl::InvalidArgumentError(text);
}

absl::StatusOr<FormatPtr> OpenFormat(ByteSource* source, const std::string& name) {
  KeepComplaints();
  last_log_line.clear();
  source->MoveTo(0);
  source->Allow();
  AVFormatContext* raw = avformat_alloc_context();
  auto* buffer = static_cast<unsigned char*>(av_malloc(kAvioBytes));
  AVIOContext* io = buffer == nullptr ? nullptr
                                      : avio_alloc_context(buffer, kAvioBytes, 0, source,
                                                           ReadSource, nullptr, SeekSource);
  if (raw == nullptr || io == nullptr) {
    av_free(buffer);
    avformat_free_context(raw);
    return absl::ResourceExhaustedError("no memory for a demuxer");
  }
  raw->pb = io;
  raw->io_open = RefuseToOpen;
  // Times as the container has them; what libavformat would infer depends on what was read before.
  raw->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_NOFILLIN;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", kFormats, 0);
  av_dict_set(&options, "protocol_whitelist", "none", 0);
  const int error = avformat_open_input(&raw, name.c_str(), nullptr, &options);
  av_dict_free(&options);
  if (error < 0) {  // the context is freed already, the I/O below it is not
    av_freep(&io->buffer);
    avio_context_free(&io);
    return FailureOf(*source, error, "cannot open as media");
  }
  return FormatPtr(raw);
}

}  // namespace millrace
