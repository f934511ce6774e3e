/* main.c - the door: everything is behind command/command.h. */
#include "command/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
