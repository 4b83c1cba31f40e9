// Pulse URLs from arbitrary text: what is accepted names a host and a port and nothing that does not belong into them,
// every error is the same, and so shows nothing of the text, and the same written out again is read as the same.
#include <cstddef>
#include <cstdint>

#include "net/amqp_url.h"
#include "net/http.h"

namespace gantry::net {
namespace {

std::string written(const AmqpUrl& url) {
  std::string shown = url.shown();
  std::size_t host = shown.find("://") + 3;
  std::string login = net::percent_encode(url.user) + ":" + net::percent_encode(url.password) + "@";
  return shown.insert(host, login);
}

void try_url(std::string_view text) {
  auto parsed = parse_amqp_url(text);
  if (!parsed) {
    static const Error wrong = parse_amqp_url("").error();
    const Error& error = parsed.error();
    GANTRY_ASSERT(error.code() == wrong.code() && error.message() == wrong.message() && error.hint() == wrong.hint());
    return;
  }
  const AmqpUrl& url = parsed.value();
  GANTRY_ASSERT(!url.user.empty() && !url.host.empty() && !url.vhost.empty() && url.port > 0 && url.port < 65536);
  for (char c : url.host)
    GANTRY_ASSERT(c > ' ' && c < 0x7F && std::string_view("/@?#[]%\"\\").find(c) == std::string_view::npos);
  for (const std::string* part : {&url.user, &url.password, &url.vhost}) {
    GANTRY_ASSERT(part->find('\0') == std::string::npos);  // it would end the text for the library
  }
  auto again = parse_amqp_url(written(url));
  GANTRY_ASSERT(again && again.value().shown() == url.shown() && again.value().tls == url.tls);
  GANTRY_ASSERT(again.value().user == url.user && again.value().password == url.password);
  GANTRY_ASSERT(again.value().host == url.host && again.value().vhost == url.vhost);
}

}  // namespace
}  // namespace gantry::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* start : {"", "amqp://", "amqps://u:p@", "amqp://u:p@["}) gantry::net::try_url(start + text);
  return 0;
}
