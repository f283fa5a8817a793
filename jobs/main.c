/* facemill VERB [options] */
#include <stdio.h>

int main(void)
{
    fputs("facemill " FM_VERSION "\n", stderr);
    return 2;
}
