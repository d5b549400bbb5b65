#include "net/rtsp/message.h"

#include "net/rtsp/chars.h"

namespace millrace::rtsp {
namespace {

// `name` has the length of `lower`, which is letters in lower case and '-'. Setting bit 5 is
// enough: the only other byte that becomes '-' by it is CR, which no name holds.
bool Matches(std::string_view name, std::string_view lower) {
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (static_cast<char>(name[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

}  // namespace

std::string_view MethodName(Method method) {
  switch (method) {
    case Method::kOptions:
      return "OPTIONS";
    case Method::kDescribe:
      return "DESCRIBE";
    case Method::kAnnounce:
      return "ANNOUNCE";
    case Method::kSetup:
      return "SETUP";
    case Method::kPlay:
      return "PLAY";
    case Method::kPause:
      return "PAUSE";
    case Method::kTeardown:
      return "TEARDOWN";
    case Method::kGetParameter:
      return "GET_PARAMETER";
    case Method::kSetParameter:
      return "SET_PARAMETER";
    case Method::kRecord:
      return "RECORD";
    case Method::kRedirect:
      return "REDIRECT";
    case Method::kUnknown:
      break;
  }
  return "?";
}

Method MethodOf(std::string_view name) {
  switch (name.size()) {
    case 4:
      if (name == "PLAY") return Method::kPlay;
      break;
    case 5:
      if (name == "SETUP") return Method::kSetup;
      if (name == "PAUSE") return Method::kPause;
      break;
    case 6:
      if (name == "RECORD") return Method::kRecord;
      break;
    case 7:
      if (name == "OPTIONS") return Method::kOptions;
      break;
    case 8:
      if (name == "DESCRIBE") return Method::kDescribe;
      if (name == "TEARDOWN") return Method::kTeardown;
      if (name == "ANNOUNCE") return Method::kAnnounce;
      if (name == "REDIRECT") return Method::kRedirect;
      break;
    case 13:
      if (name == "GET_PARAMETER") return Method::kGetParameter;
      if (name == "SET_PARAMETER") return Method::kSetParameter;
      break;
    default:
      break;
  }
  return Method::kUnknown;
}

HeaderId HeaderIdOf(std::string_view name) {
  switch (name.size()) {
    case 4:
      if (Matches(name, "cseq")) return HeaderId::kCSeq;
      break;
    case 5:
      if (Matches(name, "range")) return HeaderId::kRange;
      if (Matches(name, "scale")) return HeaderId::kScale;
      if (Matches(name, "speed")) return HeaderId::kSpeed;
      break;
    case 6:
      if (Matches(name, "accept")) return HeaderId::kAccept;
      break;
    case 7:
      if (Matches(name, "session")) return HeaderId::kSession;
      if (Matches(name, "require")) return HeaderId::kRequire;
      break;
    case 9:
      if (Matches(name, "transport")) return HeaderId::kTransport;
      if (Matches(name, "timestamp")) return HeaderId::kTimestamp;
      if (Matches(name, "blocksize")) return HeaderId::kBlocksize;
      break;
    case 10:
      if (Matches(name, "user-agent")) return HeaderId::kUserAgent;
      if (Matches(name, "connection")) return HeaderId::kConnection;
      break;
    case 12:
      if (Matches(name, "content-type")) return HeaderId::kContentType;
      if (Matches(name, "rate-control")) return HeaderId::kRateControl;
      break;
    case 13:
      if (Matches(name, "authorization")) return HeaderId::kAuthorization;
      if (Matches(name, "proxy-require")) return HeaderId::kProxyRequire;
      break;
    case 14:
      if (Matches(name, "content-length")) return HeaderId::kContentLength;
      break;
    default:
      break;
  }
  return HeaderId::kOther;
}

const HeaderField* Message::Find(HeaderId id) const {
  for (const HeaderField& field : headers()) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const HeaderField* Message::Find(std::string_view name) const {
  for (const HeaderField& field : headers()) {
    if (EqualsIgnoreCase(field.name, name)) return &field;
  }
  return nullptr;
}

std::string_view Message::Value(HeaderId id) const {
  const HeaderField* field = Find(id);
  return field == nullptr ? std::string_view() : field->value;
}

}  // namespace millrace::rtsp
