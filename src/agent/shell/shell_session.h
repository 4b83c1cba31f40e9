// One shell in a running container, from the agent's side: a command of its own in the container on one side, a
// WebSocket to the server on the other, where somebody speaks wire/shell_messages.h.
//
// Flow: output waits in the container while the client says pause or takes nothing. Input waits here, at most
// shell_window_bytes of it; the client is told to pause while the command does not take what has come.
//
// io_context thread only.
#pragma once

#include <memory>
#include <string>

#include "agent/server_api.h"
#include "engine/engine.h"
#include "net/websocket.h"
#include "wire/node_messages.h"

namespace gantry::agent {

/// What runs if the client names no command: bash if the container has it, else sh.
std::vector<std::string> default_shell();

/// Works from the first message to the last, and finishes the socket. Whatever goes wrong is told to the client;
/// nothing is thrown but cancellation. A client that goes away hangs up: the command reads the end of its input, after
/// Ctrl-C and Ctrl-D on a terminal; one that goes on nevertheless ends with its container.
Async<> serve_shell(Env& env, engine::Engine& engine, std::shared_ptr<net::WebSocket> socket, std::string container,
                    wire::ShellRequest request);

/// Connects to the server for this session, then as above. An error is logged.
Async<> meet_shell(engine::Engine& engine, ServerApi& server, Signer signer, std::string node, std::string container,
                   wire::ShellRequest request);

}  // namespace gantry::agent
