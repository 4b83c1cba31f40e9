#include "sim/api_client.h"

#include <fmt/format.h>

#include "base/text.h"
#include "wire/node_messages.h"

namespace gantry::sim {
namespace {

constexpr std::uint16_t port = 80;
/// A 503 is explained by trouble that was over at most so long before the request was sent.
constexpr std::int64_t trouble_lingers_us = 2'000'000;

}  // namespace

Async<Answer> ApiClient::call(net::Method method, std::string target, std::string body, Signer signer,
                              CallOptions options) {
  net::OutgoingRequest request;
  request.method = method;
  request.timeout = options.timeout;
  request.headers.add("host", api_host);
  if (!body.empty()) request.headers.add("content-type", "application/json");
  if (!options.claim_token.empty()) request.headers.add(std::string(wire::claim_token_header), options.claim_token);
  wire::HawkTarget signed_target{net::method_name(method), target, api_host, port};
  request.headers.add("authorization", signer->header(signed_target, env_.now(), wire::hawk_nonce(env_)));
  request.target = target;
  request.body = std::move(body);
  Answer answer;
  answer.sent_us = env_.uptime_us();
  try {
    net::IncomingResponse response = co_await link_.exchange(std::move(request), 0);
    answer.status = response.status;
    answer.body = std::move(response.body);
  } catch (const Error&) {
    answer.status = 0;
  }
  bool refused = options.may_be_invalid && answer.status == 400;
  if (!refused) check_answer(world_, answer.status, answer.body, answer.sent_us, target);
  co_return answer;
}

void check_answer(ClientWorld& world, int status, const std::string& body, std::int64_t sent_us,
                  std::string_view target) {
  if (status == 503 && world.watch.last_trouble_us() + trouble_lingers_us < sent_us) {
    world.fail(fmt::format("{}: 503 from a server that is in no trouble: {}", target, shorten(body, 400)));
  }
  bool wrong = status == 400 || status == 403 || status == 405;
  if (wrong) world.fail(fmt::format("{}: {} for a proper request: {}", target, status, shorten(body, 400)));
}

void ApiClient::saw_status(const Answer& answer, std::string_view where) {
  if (!answer.ok()) return;
  auto document = parse_json(answer.body);
  const json::value* status = document ? document.value().as_object().if_contains("status") : nullptr;
  if (!status) return world_.fail(fmt::format("{}: the answer has no status: {}", where, shorten(answer.body, 400)));
  world_.oracle.saw_task(seen_of(*status), answer.sent_us, env_.uptime_us(), where);
}

}  // namespace gantry::sim
