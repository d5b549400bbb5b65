#include "rtp/payload/payload_format.h"

#include <cstdlib>

#include "rtp/payload/aac.h"
#include "rtp/payload/aac_latm.h"
#include "rtp/payload/ac3.h"
#include "rtp/payload/amr.h"
#include "rtp/payload/av1.h"
#include "rtp/payload/dv.h"
#include "rtp/payload/eac3.h"
#include "rtp/payload/g711.h"
#include "rtp/payload/g722.h"
#include "rtp/payload/g726.h"
#include "rtp/payload/h263.h"
#include "rtp/payload/h264.h"
#include "rtp/payload/h265.h"
#include "rtp/payload/h266.h"
#include "rtp/payload/jpeg2000.h"
#include "rtp/payload/klv.h"
#include "rtp/payload/linear_pcm.h"
#include "rtp/payload/motion_jpeg.h"
#include "rtp/payload/mp3_adu.h"
#include "rtp/payload/mpeg4_video.h"
#include "rtp/payload/mpeg_audio.h"
#include "rtp/payload/mpeg_ts.h"
#include "rtp/payload/mpeg_video.h"
#include "rtp/payload/opus.h"
#include "rtp/payload/speex.h"
#include "rtp/payload/t140.h"
#include "rtp/payload/theora.h"
#include "rtp/payload/vorbis.h"
#include "rtp/payload/vp8.h"
#include "rtp/payload/vp9.h"

namespace millrace {

const PayloadFormat& PayloadFormatOf(Codec codec) {
  switch (codec) {
    case Codec::kH264:
      return kH264Format;
    case Codec::kH265:
      return kH265Format;
    case Codec::kH266:
      return kH266Format;
    case Codec::kVp8:
      return kVp8Format;
    case Codec::kVp9:
      return kVp9Format;
    case Codec::kAv1:
      return kAv1Format;
    case Codec::kMpeg4Video:
      return kMpeg4VideoFormat;
    case Codec::kMpegVideo:
      return kMpegVideoFormat;
    case Codec::kMotionJpeg:
      return kMotionJpegFormat;
    case Codec::kMpegTs:
      return kMpegTsFormat;
    case Codec::kAac:
      return kAacFormat;
    case Codec::kMpegAudio:
      return kMpegAudioFormat;
    case Codec::kAc3:
      return kAc3Format;
    case Codec::kOpus:
      return kOpusFormat;
    case Codec::kVorbis:
      return kVorbisFormat;
    case Codec::kPcmu:
      return kPcmuFormat;
    case Codec::kPcma:
      return kPcmaFormat;
    case Codec::kLinearPcm:
      return kLinearPcmFormat;
    case Codec::kEac3:
      return kEac3Format;
    case Codec::kAmr:
      return kAmrFormat;
    case Codec::kAmrWb:
      return kAmrWbFormat;
    case Codec::kG722:
      return kG722Format;
    case Codec::kG726:
      return kG726Format;
    case Codec::kSpeex:
      return kSpeexFormat;
    case Codec::kAacLatm:
      return kAacLatmFormat;
    case Codec::kMp3Adu:
      return kMp3AduFormat;
    case Codec::kT140:
      return kT140Format;
    case Codec::kKlv:
      return kKlvFormat;
    case Codec::kH263:
      return kH263Format;
    case Codec::kTheora:
      return kTheoraFormat;
    case Codec::kDv:
      return kDvFormat;
    case Codec::kJpeg2000:
      return kJpeg2000Format;
  }
  std::abort();  // no such codec
}

}  // namespace millrace
