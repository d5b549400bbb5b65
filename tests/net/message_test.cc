#include "net/rtsp/message.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace millrace::rtsp {
namespace {

constexpr Method kMethods[] = {Method::kOptions,  Method::kDescribe,     Method::kAnnounce,
                               Method::kSetup,    Method::kPlay,         Method::kPause,
                               Method::kTeardown, Method::kGetParameter, Method::kSetParameter,
                               Method::kRecord,   Method::kRedirect};

struct NamedHeader {
  HeaderId id;
  std::string_view name;
};

constexpr NamedHeader kHeaders[] = {
    {HeaderId::kAccept, "Accept"},
    {HeaderId::kAuthorization, "Authorization"},
    {HeaderId::kBlocksize, "Blocksize"},
    {HeaderId::kConnection, "Connection"},
    {HeaderId::kContentLength, "Content-Length"},
    {HeaderId::kContentType, "Content-Type"},
    {HeaderId::kCSeq, "CSeq"},
    {HeaderId::kProxyRequire, "Proxy-Require"},
    {HeaderId::kRange, "Range"},
    {HeaderId::kRequire, "Require"},
    {HeaderId::kScale, "Scale"},
    {HeaderId::kSession, "Session"},
    {HeaderId::kSpeed, "Speed"},
    {HeaderId::kTimestamp, "Timestamp"},
    {HeaderId::kTransport, "Transport"},
    {HeaderId::kUserAgent, "User-Agent"},
};

std::string InCase(std::string_view text, int (*change)(int)) {
  std::string changed(text);
  for (char& c : changed) c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return changed;
}

TEST(Method, EveryNameLeadsBackToItsMethod) {
  std::set<std::string_view> names;
  for (const Method method : kMethods) {
    const std::string_view name = MethodName(method);
    EXPECT_EQ(MethodOf(name), method) << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), std::size(kMethods));
  EXPECT_EQ(MethodName(Method::kUnknown), "?");
}

TEST(Method, IsCaseSensitive) {
  for (const Method method : kMethods) {
    EXPECT_EQ(MethodOf(InCase(MethodName(method), std::tolower)), Method::kUnknown);
  }
}

TEST(Method, NamesThatOnlyResembleOneAreUnknown) {
  for (const std::string_view name : {"", "?", "FROB", "PLA", "PLAYS", "SETUQ", "RECORE", "OPTION ",
                                      "DESCRIBF", "GET_PARAMETES", "GET-PARAMETER", "GET"}) {
    EXPECT_EQ(MethodOf(name), Method::kUnknown) << name;
  }
}

TEST(HeaderId, IsFoundInAnyCase) {
  for (const NamedHeader& header : kHeaders) {
    EXPECT_EQ(HeaderIdOf(header.name), header.id) << header.name;
    EXPECT_EQ(HeaderIdOf(InCase(header.name, std::toupper)), header.id) << header.name;
    EXPECT_EQ(HeaderIdOf(InCase(header.name, std::tolower)), header.id) << header.name;
  }
}

TEST(HeaderId, IsOtherAfterAnyOneByteChange) {
  for (const NamedHeader& header : kHeaders) {
    for (std::size_t i = 0; i < header.name.size(); ++i) {
      for (const char c : {'_', '~', '9', '\'', 'q'}) {
        std::string name(header.name);
        if (name[i] == c || name[i] == 'Q') continue;
        name[i] = c;
        EXPECT_EQ(HeaderIdOf(name), HeaderId::kOther) << name;
      }
    }
    EXPECT_EQ(HeaderIdOf(std::string(header.name) + "s"), HeaderId::kOther);
    EXPECT_EQ(HeaderIdOf(header.name.substr(1)), HeaderId::kOther) << header.name;
  }
}

TEST(Message, FindsTheFirstHeaderOfAnIdAndIgnoresWhatIsBehindTheCount) {
  const auto message = std::make_unique<Message>();
  message->header_storage[0] = {HeaderId::kCSeq, "CSeq", "1"};
  message->header_storage[1] = {HeaderId::kOther, "X-Thing", "a"};
  message->header_storage[2] = {HeaderId::kCSeq, "cseq", "2"};
  message->header_storage[3] = {HeaderId::kRange, "Range", "left from before"};
  message->header_count = 3;
  EXPECT_EQ(message->headers().size(), 3u);
  EXPECT_EQ(message->Value(HeaderId::kCSeq), "1");
  EXPECT_EQ(message->Find(HeaderId::kRange), nullptr);
  EXPECT_EQ(message->Value(HeaderId::kRange), "");
}

TEST(Message, FindsHeadersWithoutAnIdByNameInAnyCase) {
  const auto message = std::make_unique<Message>();
  message->header_storage[0] = {HeaderId::kOther, "x-sessioncookie", "abc"};
  message->header_storage[1] = {HeaderId::kOther, "X-SessionCookie", "later"};
  message->header_count = 2;
  const HeaderField* field = message->Find("X-SESSIONCOOKIE");
  ASSERT_NE(field, nullptr);
  EXPECT_EQ(field->value, "abc");
  EXPECT_EQ(message->Find("x-sessioncooki"), nullptr);
}

}  // namespace
}  // namespace millrace::rtsp
