// payload.encryptedEnv: variables that only this worker can read, decrypted with its key (taskcluster.md 1.12). What is
// wrong with one is said to the agent's own log only, under the number that the task's log gets: whoever may read a
// task must not learn from it what a secret looks like.
#include <set>

#include <fmt/format.h>

#include "agent/openpgp.h"
#include "agent/task/feature.h"
#include "agent/task/secret_variable.h"
#include "base/base64.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

Result<std::string> decrypt(const OpenPgpKey& key, const std::string& entry) {
  auto message = base64_decode(entry);
  if (!message) return Error(ErrorCode::invalid_input, "is not base64");
  return key.decrypt(*message);
}

class EncryptedEnv : public Feature {
 public:
  Async<> link(RunContext& run) override {
    if (run.adopted) co_return;  // its container has them
    auto key = run.settings.secrets_key;
    if (!key) {
      throw Error(ErrorCode::unsupported, "this worker has no key to read payload.encryptedEnv with",
                  "start its agent with --secrets-key FILE");
    }
    std::set<std::string> taken;
    for (const auto& [name, value] : run.payload.env) taken.insert(name);
    std::size_t place = 0;
    for (const std::string& entry : run.payload.encrypted_env) {
      Result<std::string> plain = co_await run.env.blocking([key, entry] { return decrypt(*key, entry); });
      if (!plain) throw violation(run, place, plain.error());
      auto variable = read_secret_variable(plain.value(), run.run.task, run.server.now(), taken);
      if (!variable) throw violation(run, place, variable.error());
      taken.insert(variable.value().name);
      run.plan.env.emplace_back(std::move(variable.value().name), std::move(variable.value().value));
      ++place;
    }
  }

 private:
  static Error violation(RunContext& run, std::size_t place, const Error& error) {
    std::string incident = TaskId::random(run.env).to_string();
    log_warning("incident {}: payload.encryptedEnv[{}] of task {}: {}", incident, place, run.run.task.to_string(),
                error.message());
    return Error(ErrorCode::invalid_input, fmt::format("secret data violation, incident {}", incident),
                 "the worker's own log says more");
  }
};

}  // namespace

std::unique_ptr<Feature> make_encrypted_env() { return std::make_unique<EncryptedEnv>(); }

}  // namespace gantry::agent
