// The RTSP client of millrace-load, against a socket that answers by hand.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "tools/load/rtsp_client.h"
#include "tools/load/rtsp_text.h"

namespace millrace::load {
namespace {

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_storage address{};
    auto* const ip = reinterpret_cast<sockaddr_in*>(&address);
    ip->sin_family = AF_INET;
    ip->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(*ip);
    EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(ip), bytes), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(ip), &bytes), 0);
    EXPECT_TRUE(client_.Connect(address, nullptr, 0));
    server_ = accept(listener, nullptr, nullptr);
    close(listener);
  }
  ~ClientTest() override {
    client_.Close();
    close(server_);
  }

  bool Take(std::string_view answer) {
    Response response;
    std::size_t consumed = 0;
    EXPECT_EQ(ParseResponse(answer, response, consumed), ParseResult::kComplete);
    return client_.TakeSession(response);
  }

  std::string Asked(std::string_view method) {
    EXPECT_TRUE(client_.Request(method, "rtsp://h/p", "", ""));
    std::string text(4096, '\0');
    const ssize_t bytes = read(server_, text.data(), text.size());
    text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return text;
  }

  RtspClient client_;
  int server_ = -1;
};

TEST_F(ClientTest, AnAnswerWithoutASessionLeavesTheOneThereIs) {
  EXPECT_FALSE(Take("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"));
  EXPECT_TRUE(Take("RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: ab12;timeout=60\r\n\r\n"));
  EXPECT_NE(Asked("OPTIONS").find("\r\nSession: ab12\r\n"), std::string::npos);
  EXPECT_FALSE(Take("RTSP/1.0 200 OK\r\nCSeq: 3\r\nPublic: OPTIONS\r\n\r\n"));
  EXPECT_NE(Asked("TEARDOWN").find("\r\nSession: ab12\r\n"), std::string::npos);
}

}  // namespace
}  // namespace millrace::load
