-- CreateTable
CREATE TABLE "wrapped_keys" (
    "id" TEXT NOT NULL,
    "kms" TEXT NOT NULL,
    "wrapped" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "wrapped_keys_pkey" PRIMARY KEY ("id")
);
