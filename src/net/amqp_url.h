// Where an AMQP 0-9-1 broker is, and who logs in there.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace gantry::net {

struct AmqpUrl {
  bool tls = false;
  std::string user;
  std::string password;
  std::string host;
  int port = 0;
  std::string vhost;

  /// Without user and password, for logs: "amqp://host:5672/vhost".
  std::string shown() const;
};

/// "amqp(s)://user:password@host[:port][/vhost]", parts percent-encoded; an error never repeats the URL. Without a
/// vhost it is "/", as everywhere.
Result<AmqpUrl> parse_amqp_url(std::string_view url);

}  // namespace gantry::net
