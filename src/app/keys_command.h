#pragma once

namespace understudy::app {

/// `understudy keys create | list | rotate | revoke`: the [[keys]] of a configuration file. See docs/operate/keys.md.
int run_keys_create_command(int argc, char** argv);
int run_keys_list_command(int argc, char** argv);
int run_keys_rotate_command(int argc, char** argv);
int run_keys_revoke_command(int argc, char** argv);

}  // namespace understudy::app
