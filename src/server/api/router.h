// Which handler answers a request: one table of routes for the whole server. A pattern is a path whose segments are
// literal, ":name" (one segment) or "*name" (one or more, slashes included); parameters are percent-decoded. So
// "*taskQueueId" takes "p/w" and "p%2Fw" alike. Old clients know the queue under /queue/v1: that is /api/queue/v1.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "net/http.h"
#include "server/auth/authenticator.h"

namespace gantry::server {

/// How errors are spelt, and what a success looks like around its body. A wrong method on a known path is 405 in the
/// native dialect; Taskcluster's knows no such path (404).
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
  std::string payload;  // the JSON body that was read, for an error's answer; empty if it is large

  /// A path parameter; must be in the pattern.
  const std::string& parameter(std::string_view name) const;
  /// A query value, or empty.
  std::string_view query_value(std::string_view name) const;
  /// Throws Error(not_authorized) if the caller does not hold the scope.
  void require(std::string_view scope) const;
  /// Throws Error(not_authorized), naming what is missing of the expression.
  void require_expression(const access::ScopeExpression& expression) const;
  /// The body, at most `bytes_max`; a payload hash in the credentials is checked against it.
  Async<std::string> body(std::size_t bytes_max);

  /// A task id parameter; throws Error(invalid_input).
  TaskId task_id() const;
  TaskGroupId task_group_id() const;
  int run_id() const;
  /// "<provisionerId>/<workerType>"; throws Error(invalid_input).
  const std::string& task_queue_id() const;
  /// A parameter of 1 to 38 of [a-zA-Z0-9-_]; throws Error(invalid_input).
  const std::string& identifier(std::string_view name) const;
};

/// The routes as a tree by segment. Where several patterns fit a path, at each segment a literal goes before ":name"
/// and that before "*name". No two routes may have the same method and the same shape.
class Router {
 public:
  /// Before the first match().
  void add(Route route);

  struct Match {
    const Route* route = nullptr;
    std::vector<std::pair<std::string_view, std::string>> parameters;
    bool other_method = false;  // the path exists for another method, in a dialect that tells
    bool bad_escape = false;
  };
  Match match(net::Method method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Node {
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;
    std::unique_ptr<Node> one;
    std::unique_ptr<Node> rest;
    std::vector<std::size_t> routes;  // that end here
  };
  struct Search;
  Node& child(Node& node, std::string_view segment);
  bool find(const Node& node, std::size_t index, Search& search) const;
  bool end_here(const Node& node, Search& search) const;

  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> names_;  // of each route's parameters
  Node root_;
};

}  // namespace gantry::server
