// Which handler answers a request: one table of routes for the whole server. A pattern is a path whose segments are
// literal, ":name" (one segment) or, last, "*name" (all that is left, slashes included); parameters are
// percent-decoded.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "net/http.h"
#include "server/auth/authenticator.h"

namespace gantry::server {

/// How errors are spelt, and what a success looks like around its body.
enum class Dialect { native, taskcluster };

struct Call;
using RouteHandler = std::function<Async<net::Response>(Call&)>;

struct Route {
  net::Method method;
  std::string pattern;
  std::string name;  // of the method in the API's reference, in logs and metrics
  Dialect dialect;
  RouteHandler handler;
  bool authenticated = true;            // false: health, metrics and signed URLs, which say for themselves who may
  std::vector<std::string> query_keys;  // that the route knows; another one is an error
};

/// One request while it is answered.
struct Call {
  net::Request request;
  std::string request_id;
  const Route* route = nullptr;
  std::vector<std::pair<std::string_view, std::string>> parameters;
  std::vector<std::pair<std::string, std::string>> query;
  auth::Identity identity;

  /// A path parameter; must be in the pattern.
  const std::string& parameter(std::string_view name) const;
  /// A query value, or empty.
  std::string_view query_value(std::string_view name) const;
  /// Throws Error(not_authorized) if the caller does not hold the scope.
  void require(std::string_view scope) const;
  /// The body, at most `bytes_max`; a payload hash in the credentials is checked against it.
  Async<std::string> body(std::size_t bytes_max);

  /// A task id parameter; throws Error(invalid_input).
  TaskId task_id() const;
  int run_id() const;
};

class Router {
 public:
  void add(Route route);

  struct Match {
    const Route* route = nullptr;
    std::vector<std::pair<std::string_view, std::string>> parameters;
    bool other_method = false;  // the path exists for another method
    bool bad_escape = false;
  };
  Match match(net::Method method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Segment {
    enum class Kind { literal, one, rest } kind;
    std::string text;
  };
  struct Compiled {
    std::size_t route;
    std::vector<Segment> segments;
  };
  static bool fits(const Compiled& compiled, const std::vector<std::string_view>& parts, std::string_view path,
                   Match& match);

  std::vector<Route> routes_;
  std::vector<Compiled> compiled_;
};

}  // namespace gantry::server
