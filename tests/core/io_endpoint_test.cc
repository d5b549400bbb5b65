#include <arpa/inet.h>

#include "absl/hash/hash.h"
#include "core/io/endpoint.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(Endpoint, ReadsLiteralsAndWritesThemBack) {
  struct Case {
    const char* ip;
    std::uint16_t port;
    int family;
    const char* text;
  };
  for (const Case& c :
       {Case{"127.0.0.1", 554, AF_INET, "127.0.0.1:554"}, Case{"0.0.0.0", 0, AF_INET, "0.0.0.0:0"},
        Case{"::", 65535, AF_INET6, "[::]:65535"},
        Case{"2001:DB8:0::1", 8554, AF_INET6, "[2001:db8::1]:8554"},
        Case{"::ffff:192.0.2.7", 80, AF_INET, "192.0.2.7:80"}}) {
    const auto e = Endpoint::Parse(c.ip, c.port);
    ASSERT_TRUE(e.has_value()) << c.ip;
    EXPECT_EQ(c.family, e->family());
    EXPECT_EQ(c.port, e->port());
    EXPECT_EQ(c.text, e->ToString());
  }
}

TEST(Endpoint, RefusesWhatIsNoLiteral) {
  for (const std::string_view ip :
       {std::string_view(""), std::string_view("localhost"), std::string_view("1.2.3"),
        std::string_view("1.2.3.4 "), std::string_view("1.2.3.256"), std::string_view("[::1]"),
        std::string_view("::1::"), std::string_view("127.0.0.1\0x", 11),
        std::string_view("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000")}) {
    EXPECT_FALSE(Endpoint::Parse(ip, 1).has_value()) << ip;
  }
}

TEST(Endpoint, IsOneValueWhicheverSocketThePeerCameThrough) {
  const Endpoint plain = *Endpoint::Parse("192.0.2.7", 80);
  const Endpoint through_ipv6 = plain.ForFamily(AF_INET6);
  EXPECT_EQ(AF_INET6, through_ipv6.family());
  EXPECT_EQ(80, through_ipv6.port());
  EXPECT_EQ(sizeof(sockaddr_in6), through_ipv6.sockaddr_length());
  const Endpoint seen = Endpoint::FromSockaddr(through_ipv6.sockaddr_ptr());
  EXPECT_EQ(plain, seen);
  EXPECT_EQ(absl::HashOf(plain), absl::HashOf(seen));
  EXPECT_EQ(plain, through_ipv6.ForFamily(AF_INET));
}

TEST(Endpoint, HasNoIpv4FormOfAnIpv6Address) {
  EXPECT_EQ(AF_UNSPEC, Endpoint::Parse("2001:db8::1", 1)->ForFamily(AF_INET).family());
  const Endpoint v6 = *Endpoint::Parse("::1", 7);
  EXPECT_EQ(v6, v6.ForFamily(AF_INET6));
}

TEST(Endpoint, KeepsTheWildcardAWildcardInEitherFamily) {
  EXPECT_TRUE(Endpoint::Parse("0.0.0.0", 1)->IsWildcard());
  EXPECT_TRUE(Endpoint::Parse("::", 1)->IsWildcard());
  EXPECT_TRUE(Endpoint::Parse("0.0.0.0", 1)->ForFamily(AF_INET6).IsWildcard());
  EXPECT_FALSE(Endpoint::Parse("::1", 1)->IsWildcard());
  EXPECT_FALSE(Endpoint().IsWildcard());
}

TEST(Endpoint, DiffersByAddressAndByPort) {
  const Endpoint e = *Endpoint::Parse("2001:db8::1", 5000);
  EXPECT_NE(e, e.WithPort(5001));
  EXPECT_TRUE(e.SameAddress(e.WithPort(5001)));
  EXPECT_NE(e, *Endpoint::Parse("2001:db8::2", 5000));
  EXPECT_FALSE(e.SameAddress(*Endpoint::Parse("192.0.2.1", 5000)));
  // Viewers behind one address differ by port alone; a table of them must not be one chain.
  EXPECT_NE(absl::HashOf(e), absl::HashOf(e.WithPort(5001)));
  Endpoint other_link = *Endpoint::Parse("fe80::1", 1);
  Endpoint link = other_link;
  reinterpret_cast<sockaddr_in6*>(other_link.sockaddr_ptr())->sin6_scope_id = 2;
  EXPECT_NE(link, other_link);
}

TEST(Endpoint, OfNoFamilyIsEmpty) {
  sockaddr_storage local{};
  local.ss_family = AF_UNIX;
  const Endpoint e = Endpoint::FromSockaddr(reinterpret_cast<sockaddr*>(&local));
  EXPECT_EQ(AF_UNSPEC, e.family());
  EXPECT_EQ(0, e.port());
  EXPECT_EQ(0u, e.sockaddr_length());
  EXPECT_EQ("(no address)", e.ToString());
  EXPECT_EQ(e, Endpoint());
}

}  // namespace
}  // namespace millrace
