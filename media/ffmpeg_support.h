// libavformat and libavcodec as Millrace uses them: to open a container over a ByteSource, to frame
// what it does not frame, and to say what went wrong. No codec is ever opened.
//
// Shard: none; blocking, loader threads only. For media/ffmpeg_*.cc alone: nothing else may see
// libav's headers.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "media/bitstream.h"
#include "media/byte_source.h"

namespace millrace {

struct PacketFree {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using PacketPtr = std::unique_ptr<AVPacket, PacketFree>;

struct ParserFree {
  void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
};
struct CodecFree {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
// A parser alone: it finds where units begin and reads their headers.
struct Parser {
  explicit Parser(AVCodecID id)
      : parser(av_parser_init(id)), codec(avcodec_alloc_context3(nullptr)) {
    if (codec) codec->codec_id = id;
  }
  bool ok() const { return parser != nullptr && codec != nullptr; }

  std::unique_ptr<AVCodecParserContext, ParserFree> parser;
  std::unique_ptr<AVCodecContext, CodecFree> codec;
};

struct FormatClose {
  void operator()(AVFormatContext* format) const {
    AVIOContext* io = format->pb;
    avformat_close_input(&format);
    if (io != nullptr) av_freep(&io->buffer);
    avio_context_free(&io);
  }
};
using FormatPtr = std::unique_ptr<AVFormatContext, FormatClose>;

// From now on libav's complaints are kept (see LastComplaint) rather than printed. OpenFormat does
// this too.
void KeepComplaints();

// Opens what `source` holds with one of the formats that are served. `name` is for messages and
// for formats that are told by a file's ending.
absl::StatusOr<FormatPtr> OpenFormat(ByteSource* source, const std::string& name);

// Why `doing` something failed: the file's own error, or libav's with its last complaint.
absl::Status FailureOf(const ByteSource& source, int error, std::string_view doing);
// libav's last complaint on this thread; empty when there was none since the last OpenFormat.
const std::string& LastComplaint();

inline ByteSpan BytesOf(const AVPacket& packet) {
  if (packet.data == nullptr || packet.size <= 0) return {};
  return {packet.data, static_cast<std::size_t>(packet.size)};
}

}  // namespace millrace
