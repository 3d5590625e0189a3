#pragma once

namespace understudy::app {

/// `understudy replay FILES --listen A:P`: an OpenAI-compatible upstream that answers from recordings.
int run_replay_command(int argc, char** argv);

}  // namespace understudy::app
