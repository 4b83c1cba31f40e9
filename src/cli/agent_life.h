// How `gantry agent` and `gantry dev` end: by a signal, by the host's notice, out of idleness.
//
// io_context thread only.
#pragma once

#include <memory>
#include <string>

#include "agent/host/host.h"
#include "cli/agent_process.h"
#include "cli/interrupt.h"

namespace gantry::cli {

/// What is said when a signal has come.
std::string stopping_line(agent::OnStop how);

/// Before the first wait for a signal: how many there may be.
void prepare_signals(agent::OnStop how, Interrupts& interrupts);

/// Stops it after a signal. While tasks are let finish, a second one has them handed back; the next ends the program.
Async<> stop_agent(Env& env, AgentProcess& agent, agent::OnStop how, Interrupts& interrupts);

/// The host plug-in that the settings name. `use` as in agent/host/worker_runner.h. Throws Error(invalid_input) for an
/// unknown one.
std::shared_ptr<agent::Host> make_host(Env& env, const agent::AgentSettings& settings,
                                       std::function<void(const wire::HawkCredentials&)> use);

/// Takes over what the settings do not say themselves.
void apply_facts(const agent::HostFacts& facts, agent::AgentSettings& settings);

/// Lets a started agent work to its end; the program's exit code.
Async<int> live(Env& env, AgentProcess& agent, std::shared_ptr<agent::Host> host, const agent::AgentSettings& settings,
                Interrupts& interrupts);

}  // namespace gantry::cli
