// SDP text (RFC 8866) that files and publishers have in common: the session section, format
// parameters, and text from elsewhere made fit for one line.
//
// Shard: any; pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/endpoint.h"
#include "media/track.h"

namespace millrace {

// Upper case, two digits a byte.
std::string HexText(std::span<const std::uint8_t> bytes);

// Each set in base64, separated by commas.
std::string Base64List(std::initializer_list<const std::vector<Bytes>*> lists);

// `text` as UTF-8 on one line: control characters (C0, DEL, C1) are left out, bytes that are no
// UTF-8 become U+FFFD. Whoever named a file or announced a session cannot write our SDP with it.
std::string OneLine(std::string_view text);

// v= o= s= c= t= a=tool a=control:* a=range, each ended by CRLF. `server` gives the o= address; c=
// is the wildcard of its family (RFC 2326 C.1.7). A `name` of which OneLine leaves nothing is "-"
// (RFC 8866 section 5.3).
std::string SessionSection(std::uint64_t session_id, std::uint64_t version, const Endpoint& server,
                           std::string_view name, std::string_view range);

// The value of fmtp, empty sets left out: RFC 6184 section 8.2.1 and RFC 7798 section 7.1. That of
// H.266 is as H.265's (RFC 9328 section 7.2).
std::string H264Parameters(const std::vector<Bytes>& sps, const std::vector<Bytes>& pps);
std::string H265Parameters(const std::vector<Bytes>& vps, const std::vector<Bytes>& sps,
                           const std::vector<Bytes>& pps);

// Without the blanks (space, tab) at both ends.
std::string_view TrimBlanks(std::string_view text);

// A part of an fmtp value, "name=value"; one without '=' is all name.
struct FormatParameter {
  std::string_view name, value;  // without blanks around
  std::string_view whole;
};

// Calls `each(parameter)` for every non-empty part between the semicolons of `parameters`.
template <typename Each>
void ForEachFormatParameter(std::string_view parameters, Each&& each) {
  while (!parameters.empty()) {
    const std::size_t end = parameters.find(';');
    const std::string_view whole = TrimBlanks(parameters.substr(0, end));
    parameters.remove_prefix(end == std::string_view::npos ? parameters.size() : end + 1);
    if (whole.empty()) continue;
    const std::size_t equals = whole.find('=');
    const bool has_value = equals != std::string_view::npos;
    each(FormatParameter{
        .name = TrimBlanks(whole.substr(0, equals)),
        .value = has_value ? TrimBlanks(whole.substr(equals + 1)) : std::string_view(),
        .whole = whole});
  }
}

// ASCII only.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);
std::string LowerCase(std::string_view text);

}  // namespace millrace
