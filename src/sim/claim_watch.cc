#include "sim/claim_watch.h"

#include <set>

#include <fmt/format.h>

#include "wire/node_messages.h"

namespace gantry::sim {
namespace {

constexpr std::string_view claim_path = "/api/queue/v1/claim-work/";

std::set<wire::RunRef> runs_in(const std::string& body) {
  std::set<wire::RunRef> runs;
  json::value document = value_or_throw(parse_json(body));
  for (const json::value& claim : document.at("tasks").as_array()) {
    auto id = TaskId::parse(std::string_view(claim.at("status").at("taskId").as_string()));
    runs.insert({id.value(), claim.at("runId").to_number<int>()});
  }
  return runs;
}

}  // namespace

void ClaimWatch::answered(const state::State& state, const Exchange& exchange, const net::Response& response) const {
  bool heard = response.status == 200 && exchange.target.starts_with(claim_path) && !exchange.peer_gone;
  if (!heard) return;
  std::string_view token = exchange.headers.get(wire::claim_token_header);
  if (token.empty()) return;
  const std::string& worker = exchange.link->name();
  std::set<wire::RunRef> runs = runs_in(response.body);
  std::set<Time> claimed;
  state.table<state::Allocation>().for_each([&](const state::Allocation& allocation) {
    if (allocation.worker != worker || allocation.token != token) return;
    wire::RunRef run{allocation.id.task, allocation.id.run};
    claimed.insert(state.table<state::Task>().find(run.task)->record.runs.back().started);
    if (runs.contains(run)) return;
    fail_(fmt::format("claim: {} has asked again with its token and is not given run {} of task {}, which it has",
                      worker, run.run, run.task.to_string()));
  });
  if (claimed.size() > 1) fail_(fmt::format("claim: {} has got more when it asked again with its token", worker));
}

}  // namespace gantry::sim
