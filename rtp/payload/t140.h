// Text in RTP (RFC 4103), without redundancy: UTF-8 as ITU-T T.140 has it, nothing in front. The
// clock counts milliseconds.
//
// 1. An access unit is a subtitle's words, with a line feed between lines. It is sent at its start,
//    at once. Since T.140 goes on writing where it was, each begins with LINE SEPARATOR (U+2028),
//    as does every further line: a reader that shows the newest line shows the newest words. T.140
//    cannot say when words go away.
// 2. A unit that is larger than a packet is cut between characters (section 4.2); what is no UTF-8
//    is left out, and the unit malformed.
// 3. The marker bit is set on the first packet of each unit, which comes after an idle time
//    (section 3).
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kT140Format;

}  // namespace millrace
