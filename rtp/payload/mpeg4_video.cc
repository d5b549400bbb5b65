#include "rtp/payload/mpeg4_video.h"

#include "media/start_code.h"
#include "rtp/payload/frame_packetizer.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

// Simple profile, level 1: what a stream is that does not say (RFC 6416 section 7.1).
constexpr int kProfileAndLevelDefault = 1;

// profile_and_level_indication of the visual object sequence header (ISO 14496-2 section 6.2.2).
int ProfileAndLevel(ByteSpan config) {
  for (std::size_t at = FindStartCode(config, 0); at + 4 < config.size();
       at = FindStartCode(config, at + 4)) {
    if (config[at + 3] == 0xb0) return config[at + 4];
  }
  return kProfileAndLevelDefault;
}

struct Mpeg4VideoFrames {
  static constexpr std::size_t kHeaderBytes = 0;

  static bool IsFrame(ByteSpan bytes) { return !bytes.empty(); }

  static void WriteHeader(const Fragment&, const AccessUnit&, std::uint8_t*) {}
};

std::string Encoding(const Track& /*track*/) { return "MP4V-ES/90000"; }

std::string Parameters(const Track& track) {
  std::string text = "profile-level-id=" + std::to_string(ProfileAndLevel(track.config));
  if (!track.config.empty()) text += ";config=" + HexText(track.config);
  return text;
}

}  // namespace

const PayloadFormat kMpeg4VideoFormat = {.encoding = Encoding,
                                         .make_packetizer = MakeFramePacketizer<Mpeg4VideoFrames>,
                                         .parameters = Parameters};

}  // namespace millrace
