// Grammar and meaning of the headers the server reads and writes (RFC 2326 section 12). Parsing
// returns views and allocates nothing; writing appends to a string. Values come as the parser gives
// them: a folded one still holds its line breaks, which count as blanks here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "net/rtsp/chars.h"
#include "net/rtsp/range_header.h"
#include "net/rtsp/transport_header.h"
#include "net/rtsp/uri.h"

namespace millrace::rtsp {

// CSeq (12.17): 1 to 20 digits and nothing else; the text is echoed as it came.
bool IsValidCSeq(std::string_view value);

// Session (12.37): "id[;timeout=seconds]"; the id alone. Empty when malformed. Any visible
// characters but separators will do, so that an id this server never made is unknown rather than
// malformed.
std::string_view SessionIdOf(std::string_view value);

// Scale and Speed (12.34, 12.35): a finite decimal number, optional sign; nothing when malformed.
std::optional<double> ParseDecimal(std::string_view value);

// Visits a comma-separated list of tokens (Require, Accept), without white space and empty items.
template <typename Visit>
void ForEachListItem(std::string_view value, Visit&& visit) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    std::string_view item = value.substr(0, comma);
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    item = Trim(item);
    if (!item.empty()) visit(item);
  }
}

// Whether an Accept header (RFC 2326 12.1 by way of HTTP) admits application/sdp: the most specific
// range that fits decides, q=0 refuses, an empty header admits all.
bool AcceptsSdp(std::string_view accept);

// Date header (12.18): RFC 1123, GMT. Appends the value alone.
void AppendHttpDate(std::string* out, WallTime now);

}  // namespace millrace::rtsp
