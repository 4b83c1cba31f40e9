// The resources of the API, one file each; each function adds its routes to the one table.
#pragma once

#include "server/api/router.h"
#include "server/services.h"

namespace gantry::server {

using Handler = Async<net::Response> (*)(Services&, Call&);

/// Makes a handler what a route takes: `bind(handler)`. The services must outlive the routes.
struct Bind {
  Services& services;
  RouteHandler operator()(Handler handler) const {
    return [&services = services, handler](Call& call) { return handler(services, call); };
  }
};

void add_task_routes(Router& router, Services& services);
void add_task_change_routes(Router& router, Services& services);
void add_group_routes(Router& router, Services& services);
void add_task_queue_routes(Router& router, Services& services);
void add_worker_routes(Router& router, Services& services);
void add_explain_routes(Router& router, Services& services);
void add_claim_routes(Router& router, Services& services);
void add_artifact_routes(Router& router, Services& services);
void add_object_routes(Router& router, Services& services);
void add_log_routes(Router& router, Services& services);
void add_node_routes(Router& router, Services& services);
void add_shell_routes(Router& router, Services& services);
void add_index_routes(Router& router, Services& services);
void add_purge_cache_routes(Router& router, Services& services);
void add_object_service_routes(Router& router, Services& services);
void add_reference_routes(Router& router, Services& services);
/// `key` signs join tokens.
void add_join_routes(Router& router, Services& services, const HmacSha256Key& key);
/// Forgets what has expired of how machines joined and were removed.
Async<> expire_joins(Services& services);
void add_auth_routes(Router& router, Services& services);
void add_secret_routes(Router& router, Services& services);
void add_event_routes(Router& router, Services& services);
void add_health_routes(Router& router, Services& services);

inline constexpr std::size_t body_bytes_max = 10'000'000;

/// A POST's small JSON body: "{}" if there is none. Throws invalid_input for another content type.
Async<std::string> json_body(Call& call, std::size_t bytes_max = body_bytes_max);
/// The body {"newPriority":...}. Throws Error(invalid_input).
wire::Priority read_new_priority(const std::string& body);
/// What of a request its signature is checked against; valid as long as the request.
auth::RequestHead request_head(const net::Request& request);
/// "https://host" as this client reached us, or the configured URL; no slash at the end.
std::string base_url(const Services& services, const net::Request& request);

}  // namespace gantry::server
