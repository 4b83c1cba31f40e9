// What a task's request to its proxy (taskcluster.md 1.7) means to the server. All of it is pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http.h"

namespace gantry::agent {

/// The server's path (with its query) for what a task has asked for: "/api/<service>/<version>/...", the older
/// "/<service>/<version>/...", or either of them behind "/<host>", which must be `server_host` ("name" or "name:port").
/// Error(invalid_input) for anything else: nothing but the services of that one server is signed.
Result<std::string> proxied_target(std::string_view target, std::string_view server_host);

/// The path of a URL that is to be signed: it must lead to a service of the server at `root_url`.
Result<std::string> signable_target(std::string_view url, std::string_view root_url);

/// What of a request's headers is for the server: not those of this connection, nor those by which a server is told
/// who asks and from where.
net::Headers headers_for_server(const net::Headers& headers);
/// What of an answer's headers is for the task; its length stays.
net::Headers headers_for_task(const net::Headers& headers);

/// A request that may be sent again if the server was not well.
bool is_idempotent(net::Method method);

}  // namespace gantry::agent
