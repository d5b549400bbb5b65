// SDP (RFC 8866) of a presentation, as RFC 2326 appendix C wants it.
#pragma once

#include <string>
#include <string_view>

#include "core/io/endpoint.h"
#include "rtp/presentation.h"

namespace millrace {

// The control attribute of stream `index`: "trackID=1" for stream 0 (RFC 2326 C.1.1). Relative to
// the Content-Base of the DESCRIBE response, which ends in '/'.
std::string ControlName(std::size_t index);

// How one viewer sees a presentation.
struct PresentationView {
  Duration start{};                            // his npt 0
  bool endless = false;                        // a=range has no end
  bool live = false;                           // a=range:npt=now-, as for what is published
  std::string control_prefix, control_suffix;  // around ControlName
};

// Lines end in CRLF; order v o s c t a m…; session level a=control:* and a=range:npt=0-D; each
// media section with rtpmap and fmtp as its payload format says, and where known b=AS, a=lang,
// a=framerate and a=x-dimensions (width, height: a convention of QuickTime's servers), a=control.
// s= is the presentation's title, or else the file's name.
// `server` gives the o= address; c= is the wildcard of its family and ports are 0 (RFC 2326 C.1.2,
// C.1.7).
std::string DescribePresentation(const Presentation& presentation, const Endpoint& server,
                                 const PresentationView& view = {});

}  // namespace millrace
